"""The command ``vecferry``."""

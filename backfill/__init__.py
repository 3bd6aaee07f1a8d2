"""Copying what was there before, and proving that both stores are equal."""

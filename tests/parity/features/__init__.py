"""The rows, one module per family of features; each has a ``rows`` function."""

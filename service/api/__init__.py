"""The HTTP edge: what is common to all APIs that we serve."""

"""Strict mode: the limits that a collection's configuration sets on requests, checked before they are run."""

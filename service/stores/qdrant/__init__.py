"""Qdrant over its REST API."""

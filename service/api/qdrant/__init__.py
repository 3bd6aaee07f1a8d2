"""The REST API of Qdrant, served from any store."""

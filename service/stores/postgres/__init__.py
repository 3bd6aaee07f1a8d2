"""The target: collections as tables in PostgreSQL with pgvector. The only place that imports the driver."""

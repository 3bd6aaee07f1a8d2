"""The engines that vecferry brings along: Qdrant's core and PostgreSQL with pgvector."""

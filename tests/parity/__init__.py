"""The same requests to Qdrant's engine and to vecferry on Postgres: their answers must be equal."""

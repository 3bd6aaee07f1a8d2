"""What Qdrant composes of simpler reads, written once for every store: universal query, groups, matrix."""

"""Collections as directories of Parquet files: what ``vecferry export`` writes and ``vecferry import`` reads."""

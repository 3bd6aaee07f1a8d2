"""The stores: each driver lives in its own package below and nowhere else."""

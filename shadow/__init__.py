"""Shadow reads: sampling, comparison, classification and parity."""

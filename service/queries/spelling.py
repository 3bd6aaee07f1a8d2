"""Numbers as they stand in Qdrant's messages."""

import math

import numpy as np


def spelled(value: float) -> str:
    """Return a number as Rust prints it: never with an exponent, whole ones without a point."""
    if math.isfinite(value):
        return np.format_float_positional(value, trim="-")
    if math.isnan(value):
        return "NaN"
    return "inf" if value > 0 else "-inf"

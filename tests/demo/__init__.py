"""The demonstration: a whole migration under traffic, on real text, checked independently."""

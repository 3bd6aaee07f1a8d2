"""What a request without these numbers means, in points."""

LIMIT = 10
"""Hits, points of a page, groups, and values of a facet."""
GROUP_SIZE = 3
SAMPLE = 10
"""Points of a distance matrix."""
NEIGHBOURS = 3
"""Neighbours of each point of a distance matrix."""

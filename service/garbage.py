"""How often the collector of cyclic garbage looks at everything that a long-lived process holds."""

import gc

_NEW_OBJECTS = 50_000
"""Of several pages of points, so that it does not look at each number of them again and again."""
_GENERATIONS = 20


def collect_rarely() -> None:
    """Keep what is there out of the collector's sight, and have it look at what is new less often.

    Pages of points are many objects and no cycles: looking for some took a third of a backfill's processor time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, _GENERATIONS, _GENERATIONS)

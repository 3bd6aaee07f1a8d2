"""Random payloads and paths that meet often: few keys, all shapes of values."""

from typing import Any

from hypothesis import strategies as st

KEYS = ("a", "b", "c.d")
STRINGS = ("x", "y", "", 'q"\\', "ß☃")
INTEGERS = (-1, 0, 1, 2, 3)
FLOATS = (-1.5, 0.0, 0.1, 1.0, 2.5, 3.0)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(INTEGERS),
    st.sampled_from(FLOATS),
    st.sampled_from(STRINGS),
)


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    )


values = st.recursive(scalars, _containers, max_leaves=6)
payloads = st.dictionaries(st.sampled_from(KEYS), values, max_size=3)

paths = st.sampled_from(
    (
        *("a", "b", '"c.d"', "a.b", "a.a", "b.a.b", 'a."c.d"', "nowhere", "a.nowhere"),
        *("a[]", "a[0]", "a[1]", "a[9]", "a[].b", "a[0].b", "b[].a[].b", "a[][]", "a[0][]"),
        *("a[][0]", "a.b[]", "a[].b[0]", "c.d"),
    )
)

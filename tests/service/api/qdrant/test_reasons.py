"""One reason out of many."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from service.api.qdrant.reasons import one_reason
from service.model.qdrant import Filter, VectorParams


@pytest.mark.parametrize(
    ("model", "value", "path", "reason"),
    [
        (VectorParams, {"size": 1}, ("distance",), "Field required"),
        (VectorParams, {"size": "1", "distance": "Dot"}, ("size",), "Input should be a valid"),
        (VectorParams, 3, (), "Input should be an object"),
        (
            Filter,
            {"must": [{"must": [{"key": "a", "match": {"value": []}}]}]},
            ("must", 0, "must", 0, "match", "value"),
            "expected a valid boolean or a valid integer or a valid string",
        ),
    ],
)
def test_the_deepest_place_is_named(model: Any, value: Any, path: Any, reason: str) -> None:
    """The path has only steps of the value, not the members of unions on the way."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(orjson.dumps(value), strict=True)
    at, why = one_reason(caught.value, value)
    assert at == path
    assert why.startswith(reason)

"""The envelope around answers."""

import numpy as np
import orjson
from starlette.requests import Request

from service.api.envelope import dumps, elapsed, ok, start_clock


def test_float32_is_printed_shortest() -> None:
    """A float32 is written as the shortest decimal that reads back the same."""
    vector = np.array([0.6, 0.8, 1e-5], dtype=np.float32)
    assert dumps({"v": vector, "s": np.float32(0.1)}) == b'{"v":[0.6,0.8,0.00001],"s":0.1}'


def test_time_counts_from_the_start_of_the_request() -> None:
    """``time`` is in seconds since the clock of the request was started."""
    request = Request({"type": "http"})
    assert elapsed(request) == 0.0
    start_clock(request.scope, now=0.0)
    assert orjson.loads(ok(request, None).body)["time"] > 0

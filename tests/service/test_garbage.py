"""The collector of a long-lived process."""

import subprocess
import sys

_PAGES = """
import gc, orjson
from service.garbage import collect_rarely

collect_rarely()
runs = []
gc.callbacks.append(lambda phase, info: runs.append(phase))
body = orjson.dumps([{"id": n, "vector": [0.5] * 8, "payload": {"n": n}} for n in range(1_000)])
for _ in range(20):
    page = orjson.loads(body)
print(len(runs), gc.get_freeze_count() > 0)
"""


def test_pages_do_not_make_it_run() -> None:
    """Page after page is read without a look at everything; what was there at the start is out of its sight."""
    run = subprocess.run([sys.executable, "-c", _PAGES], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "True"]

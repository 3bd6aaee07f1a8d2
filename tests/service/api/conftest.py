"""The Qdrant API over a fake store: in process, and on a socket."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from starlette.testclient import TestClient

from service.api.qdrant.app import qdrant_app
from tests.fakes import MemoryStore

VERSION = "1.19.1"


@dataclass(frozen=True)
class Api:
    """Sends JSON and gives status and body back."""

    http: TestClient
    store: MemoryStore

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send a body, bytes as they are and everything else as JSON."""
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        answer = self.http.request(method, path, content=content)
        return answer.status_code, orjson.loads(answer.content)

    def result(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed and give its result."""
        status, answer = self.call(method, path, body)
        assert status == 200, answer
        assert answer["status"] == "ok"
        assert answer["time"] >= 0
        return answer["result"]

    def error(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Send a request that must fail and give its status and text."""
        status, answer = self.call(method, path, body)
        assert status >= 400, answer
        assert "result" not in answer
        return status, answer["status"]["error"]


@pytest.fixture
def store() -> MemoryStore:
    """An empty fake store."""
    return MemoryStore()


@pytest.fixture
def api(store: MemoryStore) -> Iterator[Api]:
    """The API with a collection ``c`` of unnamed vectors with two dimensions."""
    with TestClient(qdrant_app(store, version=VERSION, health=True)) as http:
        api = Api(http, store)
        api.result("PUT", "/collections/c", {"vectors": {"size": 2, "distance": "Dot"}})
        yield api


@pytest.fixture
def url(store: MemoryStore) -> Iterator[str]:
    """The address of the API on a loopback socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = qdrant_app(store, version=VERSION)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        while not server.started:
            time.sleep(0.01)
        httpx.get(address).raise_for_status()
        yield address
    finally:
        server.should_exit = True
        thread.join()
        listener.close()

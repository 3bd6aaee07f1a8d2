"""The control API as the command line calls it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen
from uuid import UUID

from service import config, keys
from service.errors import StageError, VecferryError

_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Calls one instance. Errors are ``VecferryError`` with the instance's own text."""

    url: str
    key: str

    @classmethod
    def from_settings(cls) -> "ControlClient":
        """Return the client of the instance that runs with this environment's settings."""
        settings = config.load()
        return cls(f"http://127.0.0.1:{settings.control_port}", keys.read(settings.data_dir))

    def status(self) -> dict[str, Any]:
        """Return the instance's status."""
        found: dict[str, Any] = self._call("GET", "/status")
        return found

    def matching(self, pattern: str) -> list[str]:
        """Return the collections that a shell pattern names."""
        found: list[str] = self._call("GET", f"/collections?{urlencode({'pattern': pattern})}")
        return found

    def set_stage(self, name: str, stage: str, percent: int | None) -> dict[str, Any]:
        """Change a collection's stage and wait until it is in force; ``percent`` for ``ramp`` only."""
        found: dict[str, Any] = self._call(
            "PUT",
            f"/collections/{quote(name, safe='')}/stage",
            {"stage": stage, "percent": percent},
        )
        return found

    def start(self, kind: str, name: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Start a long job, ``backfill`` or ``verify``, and return it."""
        found: dict[str, Any] = self._call("POST", _of_collection(kind, name), body)
        return found

    def follow(self, kind: str, name: str) -> dict[str, Any]:
        """Return the newest long job of a collection and how far it is."""
        found: dict[str, Any] = self._call("GET", _of_collection(kind, name))
        return found

    def jobs(self, pattern: str, kind: str | None) -> list[dict[str, Any]]:
        """Return the newest long job of every kind, or of one, of the collections that a pattern names."""
        wanted = {"pattern": pattern, "kind": kind}
        found: list[dict[str, Any]] = self._call("GET", f"/jobs?{_query(wanted)}")
        return found

    def tune(self, kind: str, name: str, changes: Mapping[str, object]) -> dict[str, Any]:
        """Change the options of a running job; what is not named stays."""
        found: dict[str, Any] = self._call("PATCH", _of_collection(kind, name), changes)
        return found

    def cancel(self, kind: str, name: str) -> dict[str, Any]:
        """End a job; what it wrote stays."""
        found: dict[str, Any] = self._call("DELETE", _of_collection(kind, name))
        return found

    def ledger(
        self,
        *,
        collection: str | None = None,
        state: str | None = None,
        after: str | None = None,
        limit: int,
    ) -> dict[str, Any]:
        """Return a page of the ledger: ``lines``, ``next`` and what is ``unread``."""
        wanted = {"collection": collection, "state": state, "after": after, "limit": limit}
        found: dict[str, Any] = self._call("GET", f"/ledger?{_query(wanted)}")
        return found

    def ledger_count(self, collection: str | None) -> dict[str, Any]:
        """Return the ledger's ``tallies`` and what is ``unread``."""
        found: dict[str, Any] = self._call(
            "GET", f"/ledger/count?{_query({'collection': collection})}"
        )
        return found

    def ledger_retry(self, collection: str | None, ids: Sequence[UUID] | None) -> int:
        """Have failed intents tried again; returns how many."""
        named = None if ids is None else [str(each) for each in ids]
        found: dict[str, int] = self._call(
            "POST", "/ledger/retry", {"collection": collection, "ids": named}
        )
        return found["retried"]

    def quarantine(self, name: str, after: str | None) -> dict[str, Any]:
        """Return a page of a collection's quarantine: ``points`` and ``next``."""
        wanted = {"collection": name, "after": after}
        found: dict[str, Any] = self._call("GET", f"/quarantine?{_query(wanted)}")
        return found

    def quarantine_count(self) -> dict[str, dict[str, int]]:
        """Return by collection how many points are ``blocking`` and how many ``waived``."""
        found: dict[str, dict[str, int]] = self._call("GET", "/quarantine/count")
        return found

    def waive(self, name: str, ids: Sequence[int | str]) -> int:
        """Accept that the target lacks these points; returns how many were not waived before."""
        found: dict[str, int] = self._call(
            "POST", _of_collection("quarantine/waive", name), {"ids": ids}
        )
        return found["waived"]

    def retry_quarantined(
        self, name: str, ids: Sequence[int | str] | None, after: str | None
    ) -> dict[str, Any]:
        """Try quarantined points again, those named or a page of all."""
        wanted = {"ids": ids, "after": after}
        found: dict[str, Any] = self._call("POST", _of_collection("quarantine/retry", name), wanted)
        return found

    def repair(self, name: str, wanted: Mapping[str, object]) -> dict[str, Any]:
        """Look at a page of ids, repair them if that is wanted, and return what was found and done."""
        found: dict[str, Any] = self._call("POST", _of_collection("repair", name), wanted)
        return found

    def schema(self, name: str) -> dict[str, Any]:
        """Return what Postgres would make of a collection."""
        found: dict[str, Any] = self._call("GET", _of_collection("schema", name))
        return found

    def receipts(self, collection: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the newest receipts of verifications, first the newest."""
        wanted = {"collection": collection, "limit": limit}
        found: dict[str, list[dict[str, Any]]] = self._call("GET", f"/receipts?{_query(wanted)}")
        return found["receipts"]

    def receipt(self, wanted: str) -> dict[str, Any]:
        """Return the receipt with this id, else the newest one of the collection with this name."""
        try:
            path = f"/receipts/{UUID(wanted)}"
        except ValueError:
            path = f"/collections/{quote(wanted, safe='')}/receipt"
        found: dict[str, Any] = self._call("GET", path)
        return found

    def _call(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - decoded JSON
        request = Request(  # noqa: S310 - the scheme is ours, see from_settings
            f"{self.url}/v1/control{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        try:
            with urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except HTTPError as error:
            # 503: nothing that the operator could change, the same call may succeed later.
            is_passing = error.code == HTTPStatus.SERVICE_UNAVAILABLE
            raise (VecferryError if is_passing else StageError)(_detail(error)) from None
        except (URLError, HTTPException, OSError) as error:
            reason = getattr(error, "reason", error)
            message = f"no vecferry answers on {self.url}: {reason}"
            raise VecferryError(message) from None


def _of_collection(what: str, name: str) -> str:
    return f"/collections/{quote(name, safe='')}/{what}"


def _query(values: Mapping[str, object]) -> str:
    return urlencode({name: value for name, value in values.items() if value is not None})


def _detail(error: HTTPError) -> str:
    try:
        detail = json.load(error)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"the control API answered {error.code}"
    return detail if isinstance(detail, str) else json.dumps(detail)

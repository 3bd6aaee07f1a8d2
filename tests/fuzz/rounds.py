"""Rounds of requests sent to both systems, and what is wrong with the answers."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import httpx

from tests.fuzz.documented import (
    REFUSED,
    REFUSED_BY_ENGINE,
    is_cancelled,
    is_documented,
    is_infinite,
    may_differ,
)
from tests.fuzz.requests import Request
from tests.fuzz.right import READS, WRITES
from tests.fuzz.world import INDEXES, NAMED, PLAIN, laying_out, refilling
from tests.parity.asks import Answer, Ask
from tests.parity.compare import difference
from tests.parity.rig import Rig
from tests.service.translate.random_filters import is_contested

SECONDS = 10.0
ROUND = 25
_HEADERS = {"content-type": "application/json"}


@dataclass(slots=True)
class Findings:
    """What has been seen: requests by operation and status, and one example of each thing that is wrong."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: int = 0

    def judge(
        self,
        request: Request,
        oracle: httpx.Response,
        subject: httpx.Response,
        before: Sequence[Request] = (),
    ) -> None:
        """Note the answers to one request, and what was changed ``before`` it in its round."""
        self.requests += 1
        self.statuses[request.operation, subject.status_code] += 1
        problem = _problem(request, oracle, subject)
        if problem is not None:
            told = f"{request}\n  qdrant: {_said(oracle)}\n  vecferry: {_said(subject)}"
            told += "".join(f"\n  after: {change}" for change in before)
            self.wrong.setdefault((request.operation, problem), told)

    def note(self, request: Request, problem: str) -> None:
        """Note a change after which the points differ."""
        self.wrong.setdefault((request.operation, "points differ"), f"{request}\n  {problem}")

    def share(self, operations: Collection[str]) -> float:
        """Return how many of the requests for these operations have been answered 200."""
        counts = [
            (status, count)
            for (operation, status), count in self.statuses.items()
            if operation in operations
        ]
        answered = sum(count for status, count in counts if status == HTTPStatus.OK)
        return answered / max(1, sum(count for _, count in counts))

    def __str__(self) -> str:
        return "\n".join(
            f"{operation}: {problem}\n  {told}" for (operation, problem), told in self.wrong.items()
        )


@dataclass(slots=True)
class Game:
    """Requests one after the other, the points compared after every change of them.

    The points are written anew before every ``ROUND`` of requests, and whenever they may have become different; the
    whole world when more than points was changed.
    """

    both: Rig
    findings: Findings = field(default_factory=Findings)
    _changes: list[Request] = field(default_factory=list)
    _left: int = 0
    _is_whole: bool = False

    async def play(self, request: Request) -> None:
        """Send one request to both systems and judge the answers."""
        if not self._left:
            await self._send_all(refilling() if self._is_whole else laying_out())
            self._left, self._is_whole = ROUND, True
            self._changes.clear()
        oracle, subject = await self._both(request)
        self.findings.judge(request, oracle, subject, self._changes)
        self._left -= 1
        if request.operation in READS:
            return
        self._changes.append(request)
        if request.operation not in WRITES:
            is_changed = request.method != "GET" and oracle.status_code == HTTPStatus.OK
            self._is_whole = self._is_whole and not is_changed
            self._left = self._left if self._is_whole else 0
        elif oracle.status_code == subject.status_code == HTTPStatus.OK:
            await self._compare_points(request)
        else:
            # One that fails half way has changed some points, in Qdrant.
            self._left = 0

    async def _compare_points(self, request: Request) -> None:
        if request.operation == "create_field_index":
            self._left, self._is_whole = 0, False
            return
        if is_contested(request.body, INDEXES) or may_differ(request.body):
            self._left = 0
            return
        body = {"limit": 100, "with_payload": True, "with_vector": True}
        for name in (NAMED, PLAIN):
            ask = Ask("POST", f"/collections/{name}/points/scroll", body)
            answers = await self._both(Request("compare", ask.method, ask.path, body))
            different = difference(ask, *map(_decoded, answers))
            if different is not None:
                self._left = 0
                self.findings.note(request, different)

    async def _both(self, request: Request) -> tuple[httpx.Response, httpx.Response]:
        return await send(self.both.oracle, request), await send(self.both.subject, request)

    async def _send_all(self, asked: Iterator[tuple[str, str, Any]]) -> None:
        for method, path, body in asked:
            for answer in await self._both(Request("lay_out", method, path, body)):
                assert answer.status_code == HTTPStatus.OK, answer.text


def _decoded(answer: httpx.Response) -> Answer:
    return Answer(answer.status_code, answer.json())


async def send(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    """Send a request; raises ``TimeoutError`` when it hangs."""
    content = None if request.body is None else json.dumps(request.body).encode()
    async with asyncio.timeout(SECONDS):
        return await client.request(request.method, request.path, content=content, headers=_HEADERS)


def _problem(request: Request, oracle: httpx.Response, subject: httpx.Response) -> str | None:
    statuses = oracle.status_code, subject.status_code
    excused = (
        is_documented(oracle, REFUSED_BY_ENGINE) or is_cancelled(oracle, subject),
        is_documented(subject, REFUSED) or is_infinite(oracle, subject),
    )
    failed = [
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_excused
        for status, is_excused in zip(statuses, excused, strict=True)
    ]
    is_different = statuses[0] != statuses[1] and not any(excused) and not may_differ(request.body)
    return f"{statuses[0]} and {statuses[1]}" if any(failed) or is_different else None


def _said(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:300]}"

"""Rounds of requests sent to both systems, and what is wrong with the answers."""

import asyncio
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from tests.fuzz.documented import REFUSED, REFUSED_BY_ENGINE, is_documented, may_differ
from tests.fuzz.requests import Request
from tests.fuzz.world import laying_out
from tests.parity.rig import Rig

SECONDS = 10.0
ROUND = 25
_HEADERS = {"content-type": "application/json"}


@dataclass(slots=True)
class Findings:
    """What has been seen: requests by operation and status, and one example of each thing that is wrong."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: int = 0

    def judge(self, request: Request, oracle: httpx.Response, subject: httpx.Response) -> None:
        """Note the answers to one request."""
        self.requests += 1
        self.statuses[request.operation, subject.status_code] += 1
        problem = _problem(request, oracle, subject)
        if problem is not None:
            told = f"{request}\n  qdrant: {_said(oracle)}\n  vecferry: {_said(subject)}"
            self.wrong.setdefault((request.operation, problem), told)

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
    """Requests one after the other; the world is laid out anew before every ``ROUND`` of them."""

    both: Rig
    findings: Findings = field(default_factory=Findings)
    left: int = 0

    async def play(self, request: Request) -> None:
        """Send one request to both systems and judge the answers."""
        if not self.left:
            await self._lay_out()
            self.left = ROUND
        oracle, subject = (
            await send(self.both.oracle, request),
            await send(self.both.subject, request),
        )
        self.findings.judge(request, oracle, subject)
        # After a change that only one of them has made, nothing is the same any more.
        self.left = self.left - 1 if oracle.status_code == subject.status_code else 0

    async def _lay_out(self) -> None:
        for method, path, body in laying_out():
            for client in (self.both.oracle, self.both.subject):
                answer = await send(client, Request("lay_out", method, path, body))
                assert answer.status_code == HTTPStatus.OK, answer.text


async def send(client: httpx.AsyncClient, request: Request) -> httpx.Response:
    """Send a request; raises ``TimeoutError`` when it hangs."""
    content = None if request.body is None else json.dumps(request.body).encode()
    async with asyncio.timeout(SECONDS):
        return await client.request(request.method, request.path, content=content, headers=_HEADERS)


def _problem(request: Request, oracle: httpx.Response, subject: httpx.Response) -> str | None:
    statuses = oracle.status_code, subject.status_code
    excused = is_documented(oracle, REFUSED_BY_ENGINE), is_documented(subject, REFUSED)
    failed = [
        status >= HTTPStatus.INTERNAL_SERVER_ERROR and not is_excused
        for status, is_excused in zip(statuses, excused, strict=True)
    ]
    is_different = statuses[0] != statuses[1] and not any(excused) and not may_differ(request.body)
    return f"{statuses[0]} and {statuses[1]}" if any(failed) or is_different else None


def _said(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.text[:300]}"

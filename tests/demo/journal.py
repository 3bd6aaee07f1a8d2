"""What the background clients saw: requests, latencies and wrong answers, by stage."""

import time
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np


class Kind(StrEnum):
    """What was wrong with an answer."""

    EXCEPTION = "exception"
    LOST = "lost write"
    UNEXPECTED = "deleted or unknown point present"
    STALE_PAYLOAD = "stale payload"
    STALE_VECTOR = "stale vector"
    WRONG_COUNT = "wrong count"
    NOT_FOUND = "own point not found"
    MALFORMED = "malformed answer"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One wrong answer."""

    kind: Kind
    detail: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A wrong answer, and who got it when."""

    stage: str
    client: str
    request: str
    wrong: Wrong

    def __str__(self) -> str:
        """Return one line for the report."""
        return (
            f"[{self.stage}] {self.client} {self.request}: {self.wrong.kind}: {self.wrong.detail}"
        )


@dataclass(slots=True)
class Section:
    """The requests of one stage."""

    stage: str
    started: float = field(default_factory=time.monotonic)
    milliseconds: list[float] = field(default_factory=list)
    errors: int = 0
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long the stage lasted, up to now while it is going on."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def requests(self) -> int:
        """How many requests were answered or failed."""
        return len(self.milliseconds)

    def percentile(self, percent: float) -> float | None:
        """Return a percentile of the latency in milliseconds; none without requests."""
        return float(np.percentile(self.milliseconds, percent)) if self.milliseconds else None


class Journal:
    """Collects what the clients report; one section per stage, the last one is the current one."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self.complaints: list[Complaint] = []

    @property
    def current(self) -> Section:
        """The stage that is going on."""
        return self.sections[-1]

    @property
    def requests(self) -> int:
        """All requests so far."""
        return sum(section.requests for section in self.sections)

    def begin(self, stage: str) -> Section:
        """End the current section and begin one for the stage."""
        self.end()
        self.sections.append(Section(stage))
        return self.current

    def end(self) -> None:
        """End the current section, if one is going on."""
        if self.sections and self.current.ended is None:
            self.current.ended = time.monotonic()

    def answered(self, seconds: float) -> None:
        """Count a request that took this long."""
        self.current.milliseconds.append(seconds * 1000)

    def wrong(self, client: str, request: str, wrong: Wrong) -> None:
        """Keep a wrong answer."""
        self.current.errors += 1
        self.complaints.append(Complaint(self.current.stage, client, request, wrong))

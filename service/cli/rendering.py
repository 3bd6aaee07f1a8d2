"""A job as people read it: one line. Pure; ``job`` is a job as the control API shows it."""

from typing import Any

Job = dict[str, Any]

_MINUTE, _HOUR = 60, 3600


def line(job: Job) -> str:
    """Return how far the job is, how fast it goes, and what it waits for."""
    return ", ".join(
        part for part in (state(job), points(job), *_moving(job), waiting(job)) if part
    )


def beside_bar(job: Job) -> str:
    """Return the same in few words: how far it is the bar shows, and a terminal may have 80 columns."""
    rate = job["points_per_second"]
    told = (
        "" if state(job) == "running" else state(job),
        f"{job['scanned']:,}",
        "" if rate is None else f"{rate:,.0f}/s",
        time_left(job),
        waiting(job),
    )
    return " ".join(part for part in told if part)


def points(job: Job) -> str:
    """Return the points, and the share of the total where that is known."""
    if not job["total"]:
        return f"{job['scanned']:,} points"
    share = min(1.0, job["scanned"] / job["total"])
    return f"{job['scanned']:,}/{job['total']:,} points ({share:.0%})"


def speed(job: Job) -> str:
    """Return the rate of the last seconds and that of the whole job; nothing before there is one."""
    rates = (job["points_per_second"], "now"), (job["average_points_per_second"], "overall")
    told = [f"{rate:,.0f} {when}" for rate, when in rates if rate is not None]
    return f"{', '.join(told)} points/s" if told else ""


def time_left(job: Job) -> str:
    """Return how long it still takes at this rate."""
    return "" if job["seconds_left"] is None else f"{duration(job['seconds_left'])} left"


def waiting(job: Job) -> str:
    """Return what it waits for."""
    if job["state"] == "failed":
        return f"error: {job['error']}"
    return "" if job["note"] is None else str(job["note"])


def duration(seconds: float) -> str:
    """Return a duration with its two largest units."""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def state(job: Job) -> str:
    """Return what is done now, or how it ended; of a verification that is done, the verdict too."""
    if is_paused(job):
        return "paused"
    clean = job.get("clean")  # an older instance does not say
    return str(job["phase"]) if clean is None else f"{job['phase']}: {verdict(clean=clean)}"


def verdict(*, clean: bool) -> str:
    """Return a receipt's verdict in two words."""
    return "equal" if clean else "NOT EQUAL"


def is_paused(job: Job) -> bool:
    """Say whether an operator has paused it."""
    return job["state"] == "running" and bool(job["options"]["paused"])


def _moving(job: Job) -> tuple[str, ...]:
    if job["phase"] != "running":
        return ()
    workers = f"{job['workers']} worker{'' if job['workers'] == 1 else 's'}"
    ranges = f"range {job['ranges_done']}/{job['ranges']}"
    return speed(job), time_left(job), workers, ranges

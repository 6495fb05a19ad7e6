"""How the events of a job are told: as JSON, a line each, and as the story of one task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli.render import duration, full_time, rfc3339

if TYPE_CHECKING:
    from mapreduce.wire import JobEvent

SECONDS_CHARS = len("2026-11-21 05:57:01")
STARTS = {"attempt_started": "started", "backup_started": "started as a backup"}
ENDS = {
    "attempt_done": "done",
    "attempt_failed": "failed",
    "attempt_lost": "lost",
    "attempt_killed": "given up",
}
PLACES = {
    "node": "on a node that holds its input",
    "rack": "in the rack of its input",
    "remote": "away from its input",
}


def event_fields(event: JobEvent) -> dict[str, Any]:
    """The fields of ``--json``."""
    return {
        "sequence": event.sequence,
        "time": rfc3339(event.wall_ns),
        "event": event.kind,
        "attempt": event.attempt or None,
        "worker": event.worker or None,
        "locality": event.locality or None,
        "miss": event.miss or None,
        "records_in": event.records_in,
        "records_out": event.records_out,
        "output_bytes": event.output_bytes,
        "counters": event.counters,
        "text": event.text or None,
    }


def event_line(event: JobEvent) -> str:
    """``2026-11-21 05:57:01  m-00017.1 started on worker-2, on a node that holds its input``."""
    return f"{_second(event.wall_ns)}  {_sentence(event)}"


def _sentence(event: JobEvent) -> str:
    if event.kind in STARTS:
        return f"{event.attempt} {STARTS[event.kind]} on {event.worker}{_place(event)}"
    if event.kind == "attempt_done":
        return f"{event.attempt} is done on {event.worker}: {_moved(event)}"
    if event.kind == "attempt_progress":
        return f"{event.attempt} on {event.worker}: {event.text}"
    if event.kind == "state":
        return f"the job {_state(event.text)}"
    return event.text


def _place(event: JobEvent) -> str:
    if not event.locality:
        return ""
    place = PLACES.get(event.locality, event.locality)
    return f", {place}: {event.miss}" if event.miss else f", {place}"


def _moved(event: JobEvent) -> str:
    records = f"{event.records_in} records in, {event.records_out} out"
    return f"{records}, {event.output_bytes} bytes written"


def task_story(task: str, events: Sequence[JobEvent]) -> Iterator[str]:
    """The story of one task from its events and those of its job, a paragraph an attempt: where
    it ran and why there, how it ended, and what came next."""
    started: dict[str, JobEvent] = {}
    for at, event in enumerate(events):
        if event.kind in STARTS:
            started[event.attempt] = event
            yield f"{_second(event.wall_ns)}  {_sentence(event)}{_why_here(task, event)}"
        elif event.attempt:
            yield f"{_second(event.wall_ns)}  {_sentence(event)}{_took(event, started)}"
            if event.kind in ENDS or event.kind == "map_output_lost":
                yield from _indented(_done_by(event, events[:at]) or _next(event, events[at + 1 :]))
        elif started and event.kind != "state":
            yield event_line(event)


def _why_here(task: str, event: JobEvent) -> str:
    if task.rpartition(":")[2].startswith("r"):
        return "; a reduce fetches from all maps and may run anywhere"
    return "" if event.locality else "; its input lies on no node"


def _took(event: JobEvent, started: dict[str, JobEvent]) -> str:
    start = started.get(event.attempt)
    if start is None or event.kind not in ENDS:
        return ""
    return f" (after {duration(max(0, event.wall_ns - start.wall_ns))})"


def _done_by(event: JobEvent, earlier: Sequence[JobEvent]) -> str:
    """Which attempt had done the task when another one ended without, '' if none."""
    if event.kind == "map_output_lost":
        return ""
    for other in reversed(earlier):
        if other.kind == "attempt_done":
            return f"{other.attempt} had done the task"
        if other.kind == "map_output_lost":
            break
    return ""


def _next(event: JobEvent, later: Sequence[JobEvent]) -> str:
    """What the end of an attempt led to."""
    for other in later:
        is_done = event.kind == "attempt_done"
        if other.kind == "map_output_lost" and is_done:
            return "the task was done, until its output was lost"
        if other.kind in STARTS and not is_done:
            waited = duration(max(0, other.wall_ns - event.wall_ns))
            return f"so {other.attempt} was started, {waited} later"
        if other.kind == "attempt_done" and not is_done:
            return f"{other.attempt} went on, and did the task"
        if other.kind == "state" and other.text != "succeeded":
            return f"then the job {_state(other.text)}"
    if event.kind == "attempt_done":
        return "the task is done"
    return "no attempt was started since"


def _state(state: str) -> str:
    """``is running``, ``failed``."""
    return {"queued": "is queued", "running": "is running", "killed": "was killed"}.get(
        state, state
    )


def _indented(text: str) -> Iterator[str]:
    yield f"{'':{SECONDS_CHARS}}  -> {text}"


def _second(wall_ns: int) -> str:
    return full_time(wall_ns)[:SECONDS_CHARS]

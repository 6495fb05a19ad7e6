"""How a job is described: as JSON, in a table, in one line of progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.render import duration, human_size, rfc3339

if TYPE_CHECKING:
    from mapreduce.wire import JobReport, TaskCounts, TaskReport

HEADER = ("JOB", "NAME", "STATE", "MAPS", "REDUCES", "TIME")

EXIT_CODES = {"failed": 10, "killed": 11}


def job_fields(report: JobReport) -> dict[str, Any]:
    """The fields of ``--json``."""
    return {
        "job": report.job,
        "name": report.name,
        "state": report.state.value,
        "maps": _counts(report.maps),
        "reduces": _counts(report.reduces),
        "counters": report.counters,
        "locality": {
            "node": report.locality.node,
            "rack": report.locality.rack,
            "remote": report.locality.remote,
        },
        "started": moment(report.started_ns),
        "ended": moment(report.ended_ns),
        "output": report.output or None,
        "error": report.error or None,
    }


def _counts(counts: TaskCounts) -> dict[str, int]:
    return {
        "total": counts.total,
        "done": counts.done,
        "running": counts.running,
        "failed": counts.failed,
    }


def moment(time_ns: int) -> str | None:
    """RFC 3339, None for what has not come."""
    return rfc3339(time_ns) if time_ns else None


def job_row(report: JobReport, now_ns: int) -> tuple[str, ...]:
    """A line of the table under ``HEADER``."""
    return (
        report.job,
        report.name,
        report.state,
        done_of(report.maps),
        done_of(report.reduces),
        elapsed(report.started_ns, report.ended_ns, now_ns),
    )


def done_of(counts: TaskCounts) -> str:
    """``3/8``."""
    return f"{counts.done}/{counts.total}"


def elapsed(started_ns: int, ended_ns: int, now_ns: int) -> str:
    """How long something runs or ran, '' if it has not begun."""
    return duration(max(0, (ended_ns or now_ns) - started_ns)) if started_ns else ""


def progress_line(report: JobReport, left_ns: int | None = None) -> str:
    """All of a running job in one line, what matters most in front, since a narrow terminal cuts
    it; ``left_ns`` None: nobody knows yet. Records and bytes are those that maps have read."""
    parts = [f"{report.job} {report.state}: maps {_running(report.maps)}"]
    if report.reduces.total:
        parts.append(f"reduces {_running(report.reduces)}")
    failed = report.maps.failed + report.reduces.failed
    if failed:
        parts.append(f"failed attempts {failed}")
    parts.append(f"left {'-' if left_ns is None else duration(left_ns)}")
    records = report.counters.get("records", {}).get("map_input", 0)
    if records:
        size = human_size(report.counters.get("bytes", {}).get("map_input", 0))
        parts.append(f"{records} records, {size} read")
    near, maps = _near(report)
    if maps:
        parts.append(f"local {near}/{maps}")
    return ", ".join(parts)


def _running(counts: TaskCounts) -> str:
    running = f" ({counts.running} running)" if counts.running else ""
    return done_of(counts) + running


def locality_line(report: JobReport) -> str:
    """``7 of 8 maps ran where a replica of their input lies``."""
    near, total = _near(report)
    return f"{near} of {total} maps ran on a node that holds their input"


def _near(report: JobReport) -> tuple[int, int]:
    """The maps that ran where their input lies, and all that ran."""
    near = report.locality.node
    return near, near + report.locality.rack + report.locality.remote


def task_fields(report: TaskReport) -> dict[str, Any]:
    """The fields of ``--json``."""
    return {
        "task": report.task,
        "attempt": report.attempt,
        "state": report.state,
        "worker": report.worker or None,
        "locality": report.locality or None,
        "seconds": seconds(report),
        "records_in": report.records_in,
        "records_out": report.records_out,
        "error": report.error or None,
    }


def seconds(report: TaskReport) -> float | None:
    """How long a task's attempt took, None while it has not ended."""
    if not (report.started_ns and report.ended_ns):
        return None
    return round((report.ended_ns - report.started_ns) / 1e9, 3)

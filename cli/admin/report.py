"""``minidfs admin report``: the cluster at length."""

from __future__ import annotations

from typing import Any

import click

from cli.admin.ask import ask
from cli.invocation import Invocation, common, invocation
from cli.render import duration, human_size, json_line, table
from dfs.limits import MS_NS
from dfs.wire.admin import GetReport, NodeReport, Report

HEADER = ("NODE", "STATE", "HOST", "RACK", "HEARD", "USED", "FREE", "REPLICAS", "FAILED")
RIGHT = frozenset({4, 5, 6, 7})


@click.command("report")
@common
@invocation
def command(call: Invocation) -> None:
    """Show room, nodes, chunks and what is being done about them."""
    report = ask(call.client(), GetReport(), Report)
    if call.json:
        click.echo(json_line(report_fields(report)))
        return
    click.echo("\n".join(report_lines(report)))


def used_and_free(report: Report) -> tuple[int, int]:
    """Bytes of chunks, and bytes of room, on the nodes that are not dead.

    A disk that several nodes of a host share counts once, with the least that one of them says.
    """
    alive = [node for node in report.nodes if node.state != "dead"]
    rooms: dict[tuple[str, str], int] = {}
    for node in alive:
        for disk in node.disks:
            place = (node.host, disk.disk)
            rooms[place] = min(rooms.get(place, disk.free_bytes), disk.free_bytes)
    return sum(node.used_bytes for node in alive), sum(rooms.values())


def work_lines(report: Report) -> list[str]:
    """What is not as it should be, and what is being done about it."""
    return [
        f"chunks: {report.chunks}; with too few copies: {report.under_replicated},"
        f" without any: {report.missing}, with too many: {report.surplus}",
        f"replicas: {report.repairs} being copied, {report.deletions} being deleted,"
        f" {report.orphans} of no file, {report.quarantined} in quarantine",
        f"safe mode: {report.safe_mode or 'off'}",
        f"log: records {report.log_begins} to {report.log_index}, on {report.log_copies} of"
        f" {report.log_copies_wanted} machines",
        f"snapshot: {_snapshot(report)}",
    ]


def _snapshot(report: Report) -> str:
    if not report.snapshot:
        return "none yet"
    if report.snapshot_age_ns < 0:
        return f"up to record {report.snapshot}, from before the namenode started"
    return f"up to record {report.snapshot}, {duration(report.snapshot_age_ns)} ago"


def report_lines(report: Report) -> list[str]:
    """The text."""
    used, free = used_and_free(report)
    lines = [f"cluster {report.cluster}: {report.state}"]
    lines += [f"  {reason}" for reason in report.reasons]
    lines.append(
        f"room: {human_size(used + free)}, used {human_size(used)}, free {human_size(free)}"
    )
    return [*lines, *work_lines(report), *table([HEADER, *map(_row, report.nodes)], RIGHT)]


def _row(node: NodeReport) -> tuple[str, ...]:
    heard = "never" if node.silent_ns < 0 else f"{duration(node.silent_ns)} ago"
    return (
        node.node,
        node.state,
        node.host.partition(":")[0],
        node.rack,
        heard,
        human_size(node.used_bytes),
        human_size(node.free_bytes),
        str(node.replicas),
        " ".join(node.failed_volumes),
    )


def _milliseconds(time_ns: int) -> int | None:
    return None if time_ns < 0 else time_ns // MS_NS


def report_fields(report: Report) -> dict[str, Any]:
    """The fields of ``--json``."""
    used, free = used_and_free(report)
    nodes = [
        {
            "node": node.node,
            "state": node.state,
            "host": node.host,
            "rack": node.rack,
            "silent_ms": _milliseconds(node.silent_ns),
            "used": node.used_bytes,
            "free": node.free_bytes,
            "replicas": node.replicas,
            "failed_volumes": list(node.failed_volumes),
        }
        for node in report.nodes
    ]
    return {
        "cluster": report.cluster,
        "state": report.state,
        "reasons": list(report.reasons),
        "capacity": used + free,
        "used": used,
        "free": free,
        "safe_mode": report.safe_mode or None,
        "log_index": report.log_index,
        "log_begins": report.log_begins,
        "snapshot": report.snapshot or None,
        "snapshot_age_ms": _milliseconds(report.snapshot_age_ns),
        "log_copies": report.log_copies,
        "log_copies_wanted": report.log_copies_wanted,
        "chunks": report.chunks,
        "under_replicated": report.under_replicated,
        "missing": report.missing,
        "surplus": report.surplus,
        "orphans": report.orphans,
        "quarantined": report.quarantined,
        "deletions": report.deletions,
        "repairs": report.repairs,
        "nodes": nodes,
    }

"""``minidfs df``: how much room there is."""

from __future__ import annotations

import click

from cli.admin.ask import ask
from cli.admin.report import used_and_free
from cli.invocation import Invocation, common, invocation
from cli.render import human_size, json_line, table
from dfs.wire.admin import GetReport, Report

HEADER = ("NODE", "SIZE", "USED", "AVAILABLE", "USE%")
ALL = "all"


@click.command("df")
@click.option("-h", "human", is_flag=True, help="Sizes as 1.5K, 12M.")
@common
@invocation
def command(call: Invocation, human: bool) -> None:
    """Show how much room the datanodes have, with -v each of them.

    Every copy of a chunk takes room: the last line says how many bytes of files still fit. A disk
    that several datanodes share is in the room of each, and once in the sum.
    """
    report = ask(call.client(), GetReport(), Report)
    alive = [node for node in report.nodes if node.state != "dead"]
    copies = max(1, min(report.replication, len(alive)))
    used, free = used_and_free(report)
    if call.json:
        nodes = [
            {"node": n.node, "size": s + f, "used": s, "available": f, "use_percent": percent(s, f)}
            for n in alive
            for s, f in [(n.used_bytes, n.free_bytes)]
        ]
        fields = {
            "size": used + free,
            "used": used,
            "available": free,
            "use_percent": percent(used, free),
            "replication": copies,
            "room": free // copies,
            "nodes": nodes,
        }
        click.echo(json_line(fields))
        return
    sizes = [(n.node, n.used_bytes, n.free_bytes) for n in alive] if call.verbose else []
    rows = [_row(name, s, f, human) for name, s, f in [*sizes, (ALL, used, free)]]
    for line in table([HEADER, *rows], frozenset({1, 2, 3, 4})):
        click.echo(line)
    room = human_size(free // copies) if human else f"{free // copies} bytes"
    words = "1 copy" if copies == 1 else f"{copies} copies"
    click.echo(f"room for {room} of files with {words} each")


def percent(used: int, free: int) -> int:
    """How much is used, rounded up; 0 where there is no room at all."""
    return -(-used * 100 // (used + free)) if used + free else 0


def _row(name: str, used: int, free: int, human: bool) -> tuple[str, ...]:
    sizes = (used + free, used, free)
    shown = [human_size(size) if human else str(size) for size in sizes]
    return (name, *shown, f"{percent(used, free)}%")

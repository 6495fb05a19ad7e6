"""``minidfs admin verify``: read everything, and have what is bad healed."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from cli.admin.ask import POLL_PAUSE_S, ask, wait_for_safe_mode
from cli.admin.fsck import Findings
from cli.admin.standing import replica_list
from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.errors import Corrupt, NotFound, Unavailable
from dfs.quantities import counted
from dfs.wire.admin import GetReport, Report, Verifying, VerifyReplicas

if TYPE_CHECKING:
    from dfs.client.client import Client

ALL_SEEN = -1
CLEAR_LINE = "\r\x1b[K"


@dataclass(slots=True)
class Reading:
    """One datanode that reads its replicas."""

    node: str
    cursor: int = 0
    ordered: int = 0
    before: Verifying | None = None
    bad: int = 0
    unread: int = 0
    why_unread: str = ""
    is_done: bool = False
    is_lost: bool = False

    def go_on(self, fs: Client) -> bool:
        """Order the next replicas to be read; did anything move?"""
        try:
            answer = ask(fs, VerifyReplicas(self.node, self.cursor), Verifying)
        except NotFound:
            self.is_done = self.is_lost = True
            return True
        return self.heard(answer)

    def heard(self, answer: Verifying) -> bool:
        """Take in how far the node is; did anything move?"""
        moved = answer.cursor != self.cursor or answer.ordered > 0
        self.cursor = answer.cursor
        self.ordered += answer.ordered
        self.before = self.before or answer
        self.bad = answer.bad - self.before.bad
        self.unread = max(0, answer.unchecked - self.before.unchecked)
        self.why_unread = answer.why if self.unread else ""
        self.is_done = self.cursor == ALL_SEEN and answer.under_way == 0
        return moved or self.is_done


@dataclass(slots=True)
class Progress:
    """A line on a terminal that is written over, nothing elsewhere."""

    shown: bool = field(default_factory=sys.stderr.isatty)

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.shown:
            sys.stderr.write(CLEAR_LINE + text)
            sys.stderr.flush()


@click.command("verify")
@common
@invocation
def command(call: Invocation) -> None:
    """Have every datanode read all it holds, and heal what is bad.

    Bad replicas are set aside and copied anew from good ones, which is waited for within
    --timeout. The metadata is checked too. Ends with 7 when something has no good copy left, and
    with 5 when a node did not read all it holds.
    """
    fs, progress = call.client(), Progress()
    wait_for_safe_mode(fs, call.timeout_ns, manual_too=False)
    live = [n.node for n in ask(fs, GetReport(), Report).nodes if n.state == "live"]
    readings = [Reading(node) for node in live]
    _read_all(fs, readings, progress)
    time.sleep(POLL_PAUSE_S)  # the last word of a node about its replicas is on its way
    _wait_for_repair(fs, call.timeout_ns, progress)
    for reading in readings:
        if not reading.is_lost:
            reading.go_on(fs)
    progress.show("")
    findings = Findings()
    findings.check_tables(fs)
    findings.check_files(fs, "/", all_chunks=False, repair=False)
    show(call, readings, findings)
    code = exit_code(readings, findings)
    if code:
        raise click.exceptions.Exit(code)


def exit_code(readings: list[Reading], findings: Findings) -> int:
    """What is gone is worse than what was not read."""
    if not findings.is_sound:
        return Corrupt.exit_code
    return Unavailable.exit_code if any(r.is_lost or r.unread for r in readings) else 0


def _read_all(fs: Client, readings: list[Reading], progress: Progress) -> None:
    while not all(reading.is_done for reading in readings):
        moved = [r.go_on(fs) for r in readings if not r.is_done]
        done = sum(r.ordered for r in readings)
        progress.show(f"{counted(done, 'replica')} read or being read")
        if not any(moved):
            time.sleep(POLL_PAUSE_S)


def _wait_for_repair(fs: Client, timeout_ns: int, progress: Progress) -> None:
    """Until every chunk that has a replica has enough, as far as there are nodes."""
    deadline_ns = time.monotonic_ns() + timeout_ns
    while time.monotonic_ns() < deadline_ns:
        report = ask(fs, GetReport(), Report)
        if not report.under_replicated and not report.repairs:
            return
        progress.show(f"{counted(report.under_replicated, 'chunk')} being copied")
        time.sleep(POLL_PAUSE_S)


def show(call: Invocation, readings: list[Reading], findings: Findings) -> None:
    """Say what was read, what was bad, and what is left."""
    read, bad = sum(r.ordered - r.unread for r in readings), sum(r.bad for r in readings)
    lost = [r.node for r in readings if r.is_lost]
    unread = {r.node: {"replicas": r.unread, "why": r.why_unread} for r in readings if r.unread}
    if call.json:
        fields = {"read": read, "bad": bad, "lost_nodes": lost, "not_answered": unread}
        click.echo(json_line({**fields, **findings.fields()}))
        return
    for node in lost:
        click.echo(f"{node} went away before it had read everything")
    for reading in readings:
        if reading.unread:
            replicas = counted(reading.unread, "replica")
            click.echo(f"{reading.node}: not answered for {replicas}: {reading.why_unread}")
    for problem in findings.problems:
        click.echo(f"invariant {problem.number}: {problem.text} ({problem.place})")
    for chunk in findings.missing:
        click.echo(f"{chunk.path}: chunk {chunk.chunk} has no good copy: {replica_list(chunk)}")
    click.echo(f"read {counted(read, 'replica')} on {counted(len(readings), 'node')}: {bad} bad")
    for line in findings.summary():
        click.echo(line)

"""``minidfs admin fsck``: is everything there, and is the metadata sound?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from cli.admin.ask import file_pages, table_pages, wait_for_safe_mode
from cli.admin.standing import chunk_fields, good_copies, is_written, replica_list
from cli.invocation import Invocation, common, invocation
from cli.render import human_size, json_line
from dfs.errors import Corrupt
from dfs.quantities import counted

if TYPE_CHECKING:
    from dfs.client.client import Client
    from dfs.wire.admin import ChunkStanding, TableProblem


@dataclass(slots=True)
class Findings:
    """What a check found. ``rows`` of metadata are None where they were not looked at."""

    rows: int | None = None
    problems: list[TableProblem] = field(default_factory=list)
    files: int = 0
    chunks: int = 0
    size: int = 0
    found: list[ChunkStanding] = field(default_factory=list)

    @property
    def missing(self) -> list[ChunkStanding]:
        """The chunks without any good replica."""
        return [c for c in self.found if is_written(c) and not good_copies(c)]

    @property
    def short(self) -> list[ChunkStanding]:
        """The chunks with some good replicas and fewer than wanted."""
        return [c for c in self.found if is_written(c) and 0 < good_copies(c) < c.wanted]

    @property
    def is_sound(self) -> bool:
        """Is the metadata sound, and is every chunk there?"""
        return not self.problems and not self.missing

    def check_tables(self, fs: Client) -> None:
        """Check the metadata."""
        self.rows = 0
        for page in table_pages(fs):
            self.rows += page.rows
            self.problems += page.problems

    def check_files(self, fs: Client, path: str, all_chunks: bool, repair: bool) -> None:
        """Check the chunks of all files at and below a path."""
        for page in file_pages(fs, path, all_chunks, repair):
            self.files += page.files
            self.chunks += page.chunks
            self.size += page.size
            self.found += page.found

    def fields(self) -> dict[str, Any]:
        """The fields of ``--json``."""
        return {
            "healthy": self.is_sound,
            "rows": self.rows,
            "problems": [
                {"number": p.number, "place": p.place, "text": p.text} for p in self.problems
            ],
            "files": self.files,
            "size": self.size,
            "chunks": self.chunks,
            "under_replicated": len(self.short),
            "missing": len(self.missing),
            "found": [chunk_fields(chunk) for chunk in self.found],
        }

    def summary(self) -> list[str]:
        """The last lines of the text."""
        lines = []
        if self.rows is not None:
            wrong = counted(len(self.problems), "problem") if self.problems else "sound"
            lines.append(f"metadata: {counted(self.rows, 'row')}, {wrong}")
        lines.append(
            f"files: {self.files}, {human_size(self.size)} in {counted(self.chunks, 'chunk')};"
            f" with too few copies: {len(self.short)}, without any: {len(self.missing)}"
        )
        return lines


@click.command("fsck")
@click.argument("path", required=False)
@click.option("--chunks", "all_chunks", is_flag=True, help="List all chunks with their nodes.")
@click.option("--repair", is_flag=True, help="Look at once at every chunk with too few copies.")
@common
@invocation
def command(call: Invocation, path: str | None, all_chunks: bool, repair: bool) -> None:
    """Check the files at and below PATH; without one all files, and the metadata too.

    Ends with 7 when data is lost or the metadata is not sound, and with 0 also when chunks have
    only too few copies: repair makes them. While the namenode waits for its datanodes after a
    start, so does this command.
    """
    fs, folder = call.locate(path or "/")
    findings = Findings()
    wait_for_safe_mode(fs, call.timeout_ns, manual_too=False)
    if folder == "/":
        findings.check_tables(fs)
    findings.check_files(fs, folder, all_chunks, repair)
    _show(call, findings)
    if not findings.is_sound:
        raise click.exceptions.Exit(Corrupt.exit_code)


def _show(call: Invocation, findings: Findings) -> None:
    if call.json:
        click.echo(json_line(findings.fields()))
        return
    for problem in findings.problems:
        click.echo(f"invariant {problem.number}: {problem.text} ({problem.place})")
    for chunk in findings.found:
        copies = f"{good_copies(chunk)} of {chunk.wanted} copies"
        click.echo(
            f"{chunk.path}: chunk {chunk.chunk} at {chunk.start}: {copies}: {replica_list(chunk)}"
        )
    for line in findings.summary():
        click.echo(line)

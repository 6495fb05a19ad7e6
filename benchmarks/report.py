"""The table of results, and the page it is written into."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- measured by {}: begin -->"
END = "<!-- measured by {}: end -->"


@dataclass(frozen=True)
class Row:
    """One figure: what, how much, and beside what."""

    what: str
    figure: str
    beside: str


def render(rows: list[Row], command: str, runs: int) -> str:
    """The table as Markdown, with what one must know to judge it."""
    day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    head = f"`{command}`, median of {runs}, {day}, Python {platform.python_version()}, {machine}."
    lines = [head, "", "| work | figure | beside |", "|---|---|---|"]
    lines += [f"| {row.what} | {row.figure} | {row.beside} |" for row in rows]
    return "\n".join(lines)


def write_page(table: str, command: str) -> None:
    """Put the table where the page keeps what this command measures."""
    begin, end = BEGIN.format(command), END.format(command)
    page = PAGE.read_text()
    head, rest = page.split(begin)
    _, tail = rest.split(end)
    PAGE.write_text(f"{head}{begin}\n{table}\n{end}{tail}")

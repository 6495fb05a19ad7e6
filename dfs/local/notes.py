"""What the commands and the keepers of a cluster leave for each other in its ``run`` folder.

``ID.stopped``  somebody stopped this process on purpose. Its keeper does not start it while the
                file is there. It is made before the process is told to end, so that no keeper
                can come in between, and lasts until ``start``, ``up`` or ``down``.
``ID.ended``    how the process ended last, in words, written by its keeper; for people.

A note that cannot be written (a full disk) is an error for whoever stops a process, and a line
less for whoever asks how one ended.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dfs.limits import END_NOTE_MAX_BYTES
from dfs.local.layout import Home

STOPPED, ENDED = "stopped", "ended"


class End(NamedTuple):
    """``started_ns`` is the monotonic time at which its keeper started it or took it over."""

    started_ns: int
    how: str


def mark_stopped(home: Home, process_id: str) -> bool:
    """Have the process stay stopped; False if it was marked already."""
    try:
        _note(home, process_id, STOPPED).touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True


def unmark_stopped(home: Home, process_id: str) -> bool:
    """Let the process be started again; False if it was not marked."""
    try:
        _note(home, process_id, STOPPED).unlink()
    except FileNotFoundError:
        return False
    return True


def is_stopped(home: Home, process_id: str) -> bool:
    """Was it stopped on purpose?"""
    return _note(home, process_id, STOPPED).exists()


def note_end(home: Home, process_id: str, end: End) -> None:
    """Keep how the process ended."""
    with suppress(OSError):
        text = f"{end.started_ns} {end.how}\n"
        _note(home, process_id, ENDED).write_text(text, encoding="utf-8")


def last_end(home: Home, process_id: str) -> End | None:
    """How the process ended last; None if no keeper has seen it end since it was forgotten."""
    try:
        with _note(home, process_id, ENDED).open("rb") as file:
            text = file.read(END_NOTE_MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    started, _, how = text.strip().partition(" ")
    return End(int(started), how) if started.isdecimal() else None


def forget_end(home: Home, process_id: str) -> None:
    """It is about to be started by somebody who wants to know how this start goes."""
    _note(home, process_id, ENDED).unlink(missing_ok=True)


def clear_notes(home: Home) -> None:
    """The cluster is down: nothing is left to say."""
    for kind in (STOPPED, ENDED):
        for path in home.run.glob(f"*.{kind}"):
            path.unlink(missing_ok=True)


def _note(home: Home, process_id: str, kind: str) -> Path:
    return home.run / f"{process_id}.{kind}"

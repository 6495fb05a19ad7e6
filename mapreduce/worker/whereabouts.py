"""How a worker learns where in its task a process is that it is about to kill.

It sends ``ASK_SIGNAL``; the process answers with a small file in its private folder, between
two steps of its interpreter, so one that is deep in a library or replaced the handler does not
answer. The answer is for people: it is cut, and nothing depends on it.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ASK_SIGNAL = signal.SIGUSR1
WHERE_FILE = ".where"
WHERE_MAX_BYTES = 500


def answer_when_asked(folder: Path, where: Callable[[], str]) -> None:
    """From now on this process says where it is, in ``folder``."""

    def answer(number: int, frame: object) -> None:
        partial = folder / f"{WHERE_FILE}.part"
        # A full disk, a task between two states: the worker goes without, and the task goes on.
        with suppress(Exception):
            partial.write_text(where(), encoding="utf-8", errors="replace")
            partial.rename(folder / WHERE_FILE)

    signal.signal(ASK_SIGNAL, answer)
    signal.siginterrupt(ASK_SIGNAL, False)


def read_where(path: Path) -> str:
    """The answer as one short line, '' if it is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        data = os.read(fd, WHERE_MAX_BYTES) if is_file else b""
    finally:
        os.close(fd)
    text = data.decode("utf-8", errors="replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()

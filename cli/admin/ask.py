"""Questions to the namenode whose answers come in pages, asked to the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from dfs.errors import DeadlineExceeded
from dfs.limits import SECOND_NS
from dfs.wire.admin import (
    CheckFiles,
    CheckTables,
    FilesChecked,
    SafeModeIs,
    SetSafeMode,
    TablesChecked,
)
from dfs.wire.codec import Message

if TYPE_CHECKING:
    from dfs.client.client import Client

M = TypeVar("M", bound=Message)

POLL_PAUSE_S = 0.2
GOOD = "good"


def ask(fs: Client, question: Message, answer: type[M]) -> M:
    """The one answer of the namenode; raises DfsError."""
    found = fs.run(fs.namenode.ask(question))
    assert isinstance(found, answer), found
    return found


def table_pages(fs: Client) -> Iterator[TablesChecked]:
    """Every row of the namenode's tables, checked."""
    page = ask(fs, CheckTables(), TablesChecked)
    yield page
    while page.cursor:
        page = ask(fs, CheckTables(page.cursor), TablesChecked)
        yield page


def file_pages(
    fs: Client, path: str, all_chunks: bool = False, repair: bool = False
) -> Iterator[FilesChecked]:
    """Every file at and below a path, checked."""
    page = ask(fs, CheckFiles(path, "", 0, all_chunks, repair), FilesChecked)
    yield page
    while page.more:
        question = CheckFiles(path, page.after, page.start, all_chunks, repair)
        page = ask(fs, question, FilesChecked)
        yield page


def wait_for_safe_mode(fs: Client, timeout_ns: int, manual_too: bool) -> SafeModeIs:
    """Wait until safe mode is off; the last answer. One that somebody switched on is waited for
    only with ``manual_too``. Raises ``DeadlineExceeded``."""
    deadline_ns = time.monotonic_ns() + timeout_ns
    while True:
        safe = ask(fs, SetSafeMode(), SafeModeIs)
        if not safe.is_on or (safe.is_manual and not manual_too):
            return safe
        if time.monotonic_ns() >= deadline_ns:
            seconds = timeout_ns / SECOND_NS
            raise DeadlineExceeded(f"after {seconds:g} s safe mode is still on: {safe.text}")
        time.sleep(POLL_PAUSE_S)

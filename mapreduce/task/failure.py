"""How a failure of user code is told: their traceback without our frames, and the record."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from mapreduce.job import Failure

MAX_RECORD_CHARS = 200
MAX_TRACEBACK_CHARS = 16_000
_OURS = str(Path(__file__).parent.parent) + "/"


def failure_of(
    error: BaseException, phase: str, path: str = "", offset: int = -1, record: str = ""
) -> Failure:
    """What happened in `phase`; `record` is already bounded text (see `bounded_repr`)."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not _is_ours(f.filename)]
    lines = traceback.format_exception_only(error)
    name, where = type(error).__qualname__, ""
    if frames:
        lines = [
            "Traceback (most recent call last):\n",
            *traceback.StackSummary.from_list(frames).format(),
            *lines,
        ]
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    elif isinstance(error, (TypeError, ValueError)) and "unpack" in str(error):
        lines = [f"{name}: the {phase} must yield pairs (key, value): {error}\n"]
    text = "".join(lines)[-MAX_TRACEBACK_CHARS:]
    summary = text.rstrip().rpartition("\n")[2]
    signature = "|".join((name, where, path, str(offset), record or summary))
    return Failure(phase, summary, text, path, offset, record, signature)


def bounded_repr(record: Any) -> str:
    """The record for people, cut where it gets long; never raises."""
    if isinstance(record, (str, bytes)):
        text = repr(record[:MAX_RECORD_CHARS])
        return text if len(record) <= MAX_RECORD_CHARS else f"{text}… ({len(record)} long)"
    try:
        text = repr(record)
    except Exception as error:  # noqa: BLE001  # the user's own __repr__
        return f"<{type(record).__qualname__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= MAX_RECORD_CHARS else f"{text[:MAX_RECORD_CHARS]}…"


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen importlib"))

"""The file ``EPOCH``: the highest epoch of a namenode that was obeyed, or that wrote a log.

A label (``dfs.label``)::

    minidfs epoch
    format 1
    epoch 7
    check 5d5a…

A wrong epoch would let an old namenode be obeyed, or the wrong copy of a log be taken, so a
damaged one is never read as another.
"""

from __future__ import annotations

from dfs.errors import Corrupt, Refused
from dfs.label import Kind, parse, render

KIND = Kind("minidfs epoch", 1, "remove it once no older namenode of this cluster can run")


def render_epoch(epoch: int) -> bytes:
    """The bytes of the file."""
    return render(KIND, {"epoch": epoch})


def parse_epoch(content: bytes, where: str) -> int:
    """The epoch in it; ``where`` names the file. Raises ``Corrupt`` and ``NotSupported``."""
    try:
        return parse(KIND, content, where).number("epoch")
    except Refused as error:
        raise Corrupt(error.message, where) from error

"""How a new file is stored, as its writer says it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypedDict

from dfs.errors import BadArgument
from dfs.limits import INLINE_MAX_BYTES


class FileKeywords(TypedDict, total=False):
    """The keywords of every call that makes a file; see ``FileOptions``."""

    replication: int | None
    chunk_size: int | None
    min_durable: int | None


@dataclass(frozen=True, slots=True)
class FileOptions:
    """How a new file is stored; None stands for the cluster's default.

    Copies of each chunk, the size of its chunks in bytes, and the copies that must be on
    disk before a write succeeds.
    """

    replication: int | None = None
    chunk_size: int | None = None
    min_durable: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and value < 1:
                raise BadArgument(f"{field.name} {value} is less than 1")

    def may_be_inline(self, length: int) -> bool:
        """May a file of ``length`` bytes live in the namenode? There it has one copy only."""
        one_is_enough = self.min_durable is None or self.min_durable == 1
        return length == 0 or (length <= INLINE_MAX_BYTES and one_is_enough)

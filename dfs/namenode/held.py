"""What one datanode holds, as its reports and its news say: eight bytes a replica.

Almost every replica is of generation 1, so those are a ``SortedIds`` of chunk numbers, and the
few of other generations stand beside it. A report is taken page by page straight from its
bytes; its rows rise by (chunk, generation), which is checked, since everything here
stands on that order.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from itertools import pairwise
from operator import lt
from typing import NamedTuple

from dfs.errors import ProtocolError
from dfs.events import Payload
from dfs.namenode.sorted_ids import SortedIds

ROW_BYTES = 24
"""A replica in a report: chunk, generation, length; each u64, big-endian."""


class Held(NamedTuple):
    """A replica, whoever holds it."""

    chunk: int
    generation: int


class HeldReplicas:
    """A set of (chunk, generation)."""

    def __init__(self) -> None:
        self._first = SortedIds()
        self._others: dict[int, tuple[int, ...]] = {}
        self._other_ids = SortedIds()
        self._count_others = 0

    def __len__(self) -> int:
        return len(self._first) + self._count_others

    def holds(self, chunk: int, generation: int) -> bool:
        """Is this replica here?"""
        if generation == 1:
            return chunk in self._first
        return generation in self._others.get(chunk, ())

    def first_among(self, chunks: array[int]) -> list[int]:
        """Those of these chunks, which rise, of which generation 1 is here."""
        return self._first.among(chunks)

    def generations(self, chunk: int) -> tuple[int, ...]:
        """The generations of a chunk that are here, rising."""
        first = (1,) if chunk in self._first else ()
        return tuple(sorted(first + self._others.get(chunk, ())))

    def add(self, chunk: int, generation: int) -> bool:
        """Add a replica; False when it is here already."""
        if generation == 1:
            return self._first.add(chunk)
        others = self._others.get(chunk, ())
        if generation in others:
            return False
        self._others[chunk] = tuple(sorted((*others, generation)))
        self._other_ids.add(chunk)
        self._count_others += 1
        return True

    def discard(self, chunk: int, generation: int) -> bool:
        """Remove a replica; False when it is not here."""
        if generation == 1:
            return self._first.discard(chunk)
        others = self._others.get(chunk, ())
        if generation not in others:
            return False
        left = tuple(g for g in others if g != generation)
        self._count_others -= 1
        if left:
            self._others[chunk] = left
        else:
            del self._others[chunk]
            self._other_ids.discard(chunk)
        return True

    def page(self, start: int, limit: int) -> list[Held]:
        """Replicas of about ``limit`` chunks from chunk ``start`` on, in order; empty at the end.

        All generations of a chunk are in one page, so the next page begins behind the last chunk.
        """
        first = self._first.page(start, limit)
        others = self._other_ids.page(start, limit)
        found = [Held(chunk, 1) for chunk in first]
        if not others:
            return found
        found += [Held(chunk, g) for chunk in others for g in self._others[chunk]]
        found.sort()
        ends = [page[-1] for page in (first, others) if len(page) == limit]
        return found[: bisect_right(found, (min(ends) + 1,))] if ends else found

    def extend(self, chunks: array[int], generations: array[int]) -> None:
        """Add the rows of a report's page, all of them above those that are here."""
        if _are_all_first(generations):
            self._first.extend(chunks)
            return
        rows = zip(chunks, generations, strict=True)
        first = array("Q")
        for chunk, generation in rows:
            if generation == 1:
                first.append(chunk)
            else:
                self.add(chunk, generation)
        self._first.extend(first)


class Report:
    """A chunk report of which some pages have come. ``number`` and pages count as the node does."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.held = HeldReplicas()
        self._pages = 0
        self._last = Held(0, 0)

    def take(self, page: int, payload: Payload) -> None:
        """The next page. Raises ``ProtocolError`` for any other, and for rows that do not rise."""
        if page != self._pages:
            raise ProtocolError(f"report page {page} came instead of page {self._pages}")
        if len(payload) % ROW_BYTES:
            raise ProtocolError(f"a report page of {len(payload)} bytes is not whole")
        rows = array("Q")
        rows.frombytes(payload)
        if sys.byteorder == "little":
            rows.byteswap()
        chunks, generations = rows[0::3], rows[1::3]
        if len(chunks):
            self._check_order(chunks, generations)
        self.held.extend(chunks, generations)
        self._pages += 1

    def _check_order(self, chunks: array[int], generations: array[int]) -> None:
        if _are_all_first(generations):
            rises = all(map(lt, chunks, chunks[1:]))
        else:
            rises = all(a < b for a, b in pairwise(zip(chunks, generations, strict=True)))
        if not rises or Held(chunks[0], generations[0]) <= self._last:
            raise ProtocolError("the rows of a chunk report do not rise")
        self._last = Held(chunks[-1], generations[-1])


def _are_all_first(generations: array[int]) -> bool:
    return generations.count(1) == len(generations)

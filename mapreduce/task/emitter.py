"""Takes the pairs that user code yields and passes them on in blocks.

Pairs are unzipped into two lists (a list of tuples would cost three times as much) and handed
on when `room` of them have come together, those for side outputs apart. Room adapts to the size
of what came before, so that a block stays near BLOCK_BYTES. So that records which grow all at
once do not fill the memory, one in LOOK_RECORDS is weighed before the block is full, and the first
of each block. It all depends on the records alone, so every attempt makes the same blocks. A
generator that never ends is taken in blocks, too.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from mapreduce.task.side import SideKey, SideOutputs

FIRST_ROOM = 256
MAX_ROOM = 8_192
MIN_ROOM = 2
"""A column of one row is a scalar to Polars, which copies its content with every step."""
BLOCK_BYTES = 4 << 20
LOOK_RECORDS = 31
"""A prime, so that records which alternate are all weighed in turn."""

_LIGHT = {int, float, bool, type(None)}


class Sink(Protocol):
    """Where blocks of records go."""

    def add(self, keys: list[Any], values: list[Any]) -> int:
        """Take a block, whose lists are used again; returns about how many bytes it holds."""
        ...


class Emitter:
    """Two lists on their way to a sink. `fault` turns user code's exception into ours; records
    for side outputs go to `side`."""

    def __init__(
        self, sink: Sink, side: SideOutputs, fault: Callable[[BaseException], BaseException]
    ) -> None:
        self._sink = sink
        self._side = side
        self._fault = fault
        self.keys: list[Any] = []
        self.values: list[Any] = []
        self.room = FIRST_ROOM
        self.mark = 1
        """With so many pairs `look` is to be called; at most LOOK_RECORDS more than there are."""
        self.records = 0

    def take(self, pairs: Any) -> None:
        """All pairs of an iterable that user code returned, or none for None."""
        if pairs is None:
            return
        try:
            rest = iter(pairs)
        except TypeError as error:
            message = f"cannot unpack {type(pairs).__name__}: not an iterable of pairs"
            raise self._fault(TypeError(message)) from error
        self.take_rest(rest)

    def take_rest(self, pairs: Iterator[Any]) -> None:
        """The pairs that an iterator still has, passing on each full block."""
        add_key, add_value = self.keys.append, self.values.append
        while True:
            before = len(self.keys)
            wanted = self.mark - before
            try:
                for key, value in islice(pairs, wanted):
                    add_key(key)
                    add_value(value)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                raise self._fault(error) from None
            exhausted = len(self.keys) - before < wanted
            if exhausted:
                return
            self.look()

    def look(self) -> None:
        """Weigh the pair that came last, and pass the block on if it is full."""
        weight = _weight(self.keys[-1]) + _weight(self.values[-1])
        self.room = min(self.room, max(MIN_ROOM, BLOCK_BYTES // max(weight, 1)))
        if len(self.keys) >= self.room:
            self.flush()
        else:
            self.mark = min(len(self.keys) + LOOK_RECORDS, self.room)

    def pass_on(self) -> None:
        """Let nothing gather, but for a single pair."""
        if len(self.keys) >= MIN_ROOM:
            self.flush()

    def flush(self) -> None:
        """Pass on what is there."""
        count = len(self.keys)
        if not count:
            return
        size_bytes = self._side.take(self.keys, self.values) if SideKey.in_use else 0
        self.records += len(self.keys)
        if self.keys:
            size_bytes += self._sink.add(self.keys, self.values)
        self.keys.clear()
        self.values.clear()
        fitting = BLOCK_BYTES * count // max(size_bytes, 1)
        self.room = max(MIN_ROOM, min(MAX_ROOM, 2 * self.room, fitting))
        self.mark = 1


def _weight(item: Any) -> int:
    """About how many bytes an object holds, small ones left out."""
    kind = type(item)
    if kind is str or kind is bytes:
        return len(item)
    if kind in _LIGHT:
        return 0
    try:
        return len(pickle.dumps(item, pickle.HIGHEST_PROTOCOL))
    except Exception:  # a sink that cannot take it will say so  # noqa: BLE001
        return 0

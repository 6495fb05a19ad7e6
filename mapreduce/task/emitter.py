"""Takes the pairs that user code yields and passes them on in blocks.

Pairs are unzipped into two lists (a list of tuples would cost three times as much) and handed
on when `room` of them have come together, those for side outputs apart. Room adapts to the size
of what came before, so that a block stays near BLOCK_BYTES; it depends on the records alone, so
every attempt makes the same blocks. A generator that never ends is taken in blocks, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Protocol

from mapreduce.task.side import SideKey, SideOutputs

FIRST_ROOM = 256
MAX_ROOM = 8_192
BLOCK_BYTES = 4 << 20


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
            try:
                for key, value in islice(pairs, self.room):
                    add_key(key)
                    add_value(value)
            except (Exception, SystemExit) as error:  # noqa: BLE001
                raise self._fault(error) from None
            exhausted = len(self.keys) - before < self.room
            if len(self.keys) >= self.room:
                self.flush()
            if exhausted:
                return

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
        self.room = max(1, min(MAX_ROOM, 2 * self.room, fitting))

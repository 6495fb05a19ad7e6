"""A sorted set of numbers at eight bytes each: blocks of machine integers.

The blocks are sorted and short, and every number of a block is below those of the next
one. So a look-up is two bisections, a change moves a few kilobytes, and nothing is ever
sorted or copied as a whole: ten million numbers change as fast as ten thousand.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

BLOCK_MAX = 4096
"""Numbers in a block; one that grows beyond is cut in halves."""
_DENSE = 8
"""From so many numbers here to one that is asked for, each is looked up by itself."""


class SortedIds:
    """Numbers from 0 to 2**64 - 1, each once."""

    def __init__(self) -> None:
        self._blocks: list[array[int]] = []
        self._lasts: list[int] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        if at == len(self._blocks):
            return False
        block = self._blocks[at]
        return block[bisect_left(block, number)] == number

    def add(self, number: int) -> bool:
        """Add a number; False when it is there already."""
        at = bisect_left(self._lasts, number)
        if at == len(self._blocks):
            return self._append(number)
        block = self._blocks[at]
        place = bisect_left(block, number)
        if block[place] == number:
            return False
        block.insert(place, number)
        self._count += 1
        self._split(at)
        return True

    def discard(self, number: int) -> bool:
        """Remove a number; False when it is not there."""
        if number not in self:
            return False
        at = bisect_left(self._lasts, number)
        block = self._blocks[at]
        del block[bisect_left(block, number)]
        self._count -= 1
        if block:
            self._lasts[at] = block[-1]
        else:
            del self._blocks[at], self._lasts[at]
        return True

    def extend(self, numbers: array[int]) -> None:
        """Add numbers that rise, all above those that are there."""
        if self._blocks and len(numbers):
            room = BLOCK_MAX - len(self._blocks[-1])
            self._blocks[-1] = self._blocks[-1] + numbers[:room]
            self._lasts[-1] = self._blocks[-1][-1]
            self._count += len(numbers[:room])
            numbers = numbers[room:]
        for at in range(0, len(numbers), BLOCK_MAX):
            block = numbers[at : at + BLOCK_MAX]
            self._blocks.append(block)
            self._lasts.append(block[-1])
            self._count += len(block)

    def page(self, start: int, limit: int) -> list[int]:
        """Up to ``limit`` numbers that are at least ``start``, in order."""
        found: list[int] = []
        at = bisect_left(self._lasts, start)
        while at < len(self._blocks) and len(found) < limit:
            block = self._blocks[at]
            first = bisect_left(block, start)
            found += block[first : first + limit - len(found)]
            at += 1
        return found

    def among(self, numbers: array[int]) -> list[int]:
        """Those of these numbers, which rise, that are here.

        Where long runs of both are the same they are compared as bytes.
        """
        found: list[int] = []
        begin = 0
        while begin < len(numbers):
            at = bisect_left(self._lasts, numbers[begin])
            if at == len(self._blocks):
                break
            end = bisect_right(numbers, self._lasts[at], begin)
            found += _common(self._blocks[at], numbers[begin:end])
            begin = end
        return found

    def _append(self, number: int) -> bool:
        if not self._blocks:
            self._blocks.append(array("Q"))
            self._lasts.append(number)
        self._blocks[-1].append(number)
        self._lasts[-1] = number
        self._count += 1
        self._split(len(self._blocks) - 1)
        return True

    def _split(self, at: int) -> None:
        block = self._blocks[at]
        if len(block) <= BLOCK_MAX:
            return
        half = len(block) // 2
        self._blocks[at : at + 1] = [block[:half], block[half:]]
        self._lasts.insert(at, block[half - 1])


def _common(block: array[int], numbers: array[int]) -> list[int]:
    """What a block and some numbers, both rising, have in common."""
    begin = bisect_left(block, numbers[0])
    part = block[begin : bisect_right(block, numbers[-1], begin)]
    if part == numbers:
        return numbers.tolist()
    if len(part) < _DENSE * len(numbers):
        here = set(part)
        return [number for number in numbers if number in here]
    return [number for number in numbers if block[bisect_left(block, number, begin)] == number]

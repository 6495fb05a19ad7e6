"""Sort lines, more than one machine holds: the parts, read one after the other, are sorted.

minimr run examples/sort.py huge/ -o sorted -n 20

Keys always rise within a part. `TotalOrder` makes them rise from part to part, too: it looks at
a sample of the keys before the job begins and cuts their range into pieces of about one size.
"""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr


class Sort(mr.Job):
    """Lines in the order of their characters; equal ones stay as often as they are there."""

    partition = mr.TotalOrder()
    output_format = mr.Text

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, None]]:
        """The line is the key: sorting keys is what happens between mapper and reducer anyway."""
        yield line, None

    def reducer(self, line: str, copies: Iterator[None]) -> Iterator[tuple[None, str]]:
        """One line for each copy; `Text` writes values alone, so lines may have tabs."""
        for _ in copies:
            yield None, line


if __name__ == "__main__":
    Sort.main()

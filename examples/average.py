"""Average a column of CSV files for each value of another.

minimr run examples/average.py trips/*.csv --by 2 --of 5

An average of averages is wrong, so what travels is a sum and a count, which add up in any order;
the combiner adds what one map found before anything is sent. The division comes last.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import mapreduce as mr

Sum = tuple[float, int]


class Average(mr.Job):
    """The average of a column; rows where it is no number, headings too, count as `bad rows`."""

    by: int = mr.param(1, help="the column that makes groups; the first is 1")
    of: int = mr.param(2, help="the column to average")

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, Sum]]:
        """One row: a file may be cut between any two lines, so quoted newlines are not possible."""
        try:
            row = next(csv.reader([line]), [])
            group, number = row[self.by - 1], float(row[self.of - 1])
        except (csv.Error, IndexError, ValueError):
            self.count("bad rows")
            return
        yield group, (number, 1)

    def combiner(self, group: str, sums: Iterator[Sum]) -> Iterator[tuple[str, Sum]]:
        """Sums of sums. Its input and its output have one form, as it may run again."""
        total, count = 0.0, 0
        for part, rows in sums:
            total += part
            count += rows
        yield group, (total, count)

    def reducer(self, group: str, sums: Iterator[Sum]) -> Iterator[tuple[str, float]]:
        """The average of a group."""
        for _, (total, count) in self.combiner(group, sums):
            yield group, total / count


if __name__ == "__main__":
    Average.main()

"""Join two tables by their first column.

minimr run examples/join.py users.tsv orders.tsv -o joined

Each table is an input with a mapper of its own; what the command line names stands in the place
of their paths, in this order. Rows of both tables with the same id meet in one call of the
reducer. `sort_values` puts those of the left table first: only they are held in memory, the right
ones pass by, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr

IS_LEFT, IS_RIGHT = 0, 1


class Join(mr.Job):
    """Each row of the left table with each row of the right one that has the same id."""

    sort_values = True

    def left(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, tuple[int, str]]]:
        """The id; the other columns, to be sorted before those of right rows."""
        number, _, columns = line.partition("\t")
        yield number, (IS_LEFT, columns)

    def right(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, tuple[int, str]]]:
        """The id; the other columns."""
        number, _, columns = line.partition("\t")
        yield number, (IS_RIGHT, columns)

    inputs = [mr.Input("users.tsv", mapper=left), mr.Input("orders.tsv", mapper=right)]

    def reducer(self, number: str, rows: Iterator[tuple[int, str]]) -> Iterator[tuple[str, str]]:
        """All pairs; an id that only one table has gives none, as in SQL's inner join."""
        left: list[str] = []
        for side, columns in rows:
            if side == IS_LEFT:
                left.append(columns)
            else:
                yield from ((number, f"{own}\t{columns}") for own in left)


if __name__ == "__main__":
    Join.main()

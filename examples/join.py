"""Join two tables by their first column.

minimr run examples/join.py users.tsv orders.tsv -o joined

A record's key names its file, so one mapper tells the tables apart. Rows of both tables with the
same id meet in one call of the reducer. `sort_values` puts those of the left table first: only
they are held in memory, the right ones pass by, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr


class Join(mr.Job):
    """Each row of the left table with each row of the right one that has the same id."""

    left: str = mr.param("users", help="how the names of the left table's files begin")
    sort_values = True

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, tuple[bool, str]]]:
        """The id; whether it is a right row (False sorts before True); the other columns."""
        path, _ = key
        name = path.rpartition("/")[2]
        number, _, columns = line.partition("\t")
        yield number, (not name.startswith(self.left), columns)

    def reducer(self, number: str, rows: Iterator[tuple[bool, str]]) -> Iterator[tuple[str, str]]:
        """All pairs; an id that only one table has gives none, as in SQL's inner join."""
        left: list[str] = []
        for is_right, columns in rows:
            if is_right:
                yield from ((number, f"{own}\t{columns}") for own in left)
            else:
                left.append(columns)


if __name__ == "__main__":
    Join.main()

"""Find lines that match a regular expression: a job without a reducer.

minimr run examples/grep.py docs/ --pattern 'lease|replica'
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import mapreduce as mr


class Grep(mr.Job):
    """Lines that match a pattern, each behind its file and byte offset."""

    pattern: str = mr.param("", help="a Python regular expression")
    ignore_case: bool = mr.param(False, help="match in either case")

    def mapper_init(self) -> None:
        """Compile the pattern once for each task."""
        self.expression = re.compile(self.pattern, re.IGNORECASE if self.ignore_case else 0)

    def mapper(self, key: tuple[str, int], line: str) -> Iterator[tuple[str, str]]:
        """The line if it matches."""
        if self.expression.search(line):
            path, offset = key
            self.count("matches")
            yield f"{path}:{offset}", line


if __name__ == "__main__":
    Grep.main()

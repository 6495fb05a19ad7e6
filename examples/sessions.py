"""Cut clicks into sessions: a secondary sort.

minimr run examples/sessions.py clicks.tsv -o sessions --gap 1800

A line is a user, a tab and a time in seconds. The reducer must see each user's clicks in the order
of time, but the logs of several servers have them in any order, and a robot's are more than
memory holds. So it does not sort a list: `sort_values` sorts on disk and gives an iterator.
"""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr


class Sessions(mr.Job):
    """For each session of a user its begin, its length in seconds and its clicks."""

    gap: int = mr.param(1800, help="seconds without a click that end a session")
    input_format = mr.KeyValue
    sort_values = True

    def mapper(self, user: str, seconds: str) -> Iterator[tuple[str, int]]:
        """Times as numbers: as text, 10 would come before 9."""
        yield user, int(seconds)

    def reducer(self, user: str, times: Iterator[int]) -> Iterator[tuple[str, str]]:
        """One pass, with nothing held but the session that is open."""
        begin = last = next(times)
        clicks = 1
        for now in times:
            if now - last > self.gap:
                yield user, f"{begin}\t{last - begin}\t{clicks}"
                begin, clicks = now, 0
            last = now
            clicks += 1
        yield user, f"{begin}\t{last - begin}\t{clicks}"


if __name__ == "__main__":
    Sessions.main()

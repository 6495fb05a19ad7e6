"""A job whose bundle is small enough for a namenode that is played by hand."""

from __future__ import annotations

from typing import Any

from mapreduce.job_class import Job


class Words(Job):
    """Counts values."""

    partitions = 1

    def mapper(self, key: Any, value: Any) -> Any:
        yield value, 1

    def reducer(self, key: Any, values: Any) -> Any:
        yield key, sum(values)

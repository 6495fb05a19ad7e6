"""What a finished job gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mapreduce.job import Counters

SUCCEEDED = "succeeded"


class Result:
    """The end of a successful job; iterating yields its records in partition order.

    With an output path the records are read back from its files, with the types that the
    output format kept; without one they have the exact types of what was emitted.
    """

    def __init__(
        self,
        job_id: str,
        output: str | None,
        counters: Counters,
        records: Callable[[], Iterator[tuple[Any, Any]]],
    ) -> None:
        self.job_id = job_id
        self.state = SUCCEEDED
        self.output = output
        self.counters = counters
        self._records = records

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._records()

    def __repr__(self) -> str:
        return f"Result({self.job_id} {self.state}, output={self.output!r})"

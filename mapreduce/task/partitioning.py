"""Which partition a record goes to: by the hash of its key, or as the job says.

Asked once for each distinct key of a spill. With `group_key` hash and total order are those of
the group, and a job's own `partition` is asked about each key that the mapper emitted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mapreduce.errors import UserCodeError
from mapreduce.shuffle.grouping import ByFirstField, ByKey, EachRecord, Grouping
from mapreduce.shuffle.keys import encode, partitions_of
from mapreduce.step_class import Step
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.task.ordering import Ordering
from mapreduce.total_order import is_total_order


class Partitioner:
    """The partitions of one step's keys."""

    def __init__(self, step: Step, ordering: Ordering | None) -> None:
        self._asked = step.partition
        self.grouping: Grouping = ByKey()
        """Rows of a spill that are asked about together, and with which key."""
        if ordering is not None:
            by_group = step.partition is None or is_total_order(step.partition)
            each = step.group_key is not None and not by_group
            self.grouping = EachRecord() if each else ByFirstField()

    def partitions(self, keys: list[Any], count: int) -> list[int]:
        """The partition, of `count`, of each key. Raises UserCodeError."""
        asked = self._asked
        if asked is None:
            return partitions_of(keys, count)
        if not isinstance(self.grouping, EachRecord):
            return [_answer(asked, key, count) for key in keys]
        names = list(map(encode, keys))
        distinct = dict(zip(names, keys, strict=True))
        answers = {name: _answer(asked, key, count) for name, key in distinct.items()}
        return [answers[name] for name in names]


def _answer(asked: Callable[..., int], key: Any, count: int) -> int:
    try:
        number = asked(key, count)
        if type(number) is not int or not 0 <= number < count:
            raise ValueError(f"partition() gave {number!r}: 0 to {count - 1} is needed")
    except (Exception, SystemExit) as error:  # noqa: BLE001
        raise UserCodeError(failure_of(error, "partition", record=bounded_repr(key))) from None
    return number

"""What a job says about the order of its records: `sort_values`, `sort_key` and `group_key`.

The records of such a job travel from map to reduce under another key, whose first field makes
the group and whose second orders the records in it:

    said                    key          value
    sort_values, sort_key   (key, s)     value
    group_key               (group, s)   (key, value)     s is the key where no sorting is said

So the shuffle spills, merges and counts them as it does all records, in memory that does not
grow with a group; what is equal in both fields comes by (map, emission). `s` and `group`
follow the rules of keys: canonical, of one type in a job, None before all.

A combiner sees the groups of the key alone, its values sorted; what it yields is arranged behind
it. The partition is that of the group, so that no two reduces share one; the job's own
`partition` is asked about the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from mapreduce.errors import UserCodeError
from mapreduce.shuffle.grouping import ByFirstField, ByFirstFieldKeyed, ByKey, Grouping
from mapreduce.shuffle.keys import (
    NONE,
    KeyType,
    canonical,
    canonical_all,
    encode,
    join_types,
    type_of,
    type_of_all,
)
from mapreduce.step_class import Step
from mapreduce.task.failure import bounded_repr, failure_of

SortOf = Callable[[Any, Any], Any]
"""What orders a record in its group, from its key and value."""


def ordering_of(step: Step) -> Ordering | None:
    """The order that a step wants beyond that of its keys, None if there is none."""
    sort, phase = _sort_of(step)
    if sort is None and step.group_key is None:
        return None
    return Ordering(step, sort, phase)


def grouping_of(step: Step) -> Grouping:
    """What the step's reducer sees as a group."""
    if step.group_key is not None:
        return ByFirstFieldKeyed()
    return ByKey() if _sort_of(step)[0] is None else ByFirstField()


def _sort_of(step: Step) -> tuple[SortOf | None, str]:
    """The step's sorting and its name for people."""
    if step.sort_key is not None:
        return step.sort_key, "sort_key"
    of_value = step.sort_values
    if of_value is False:
        return None, "group_key"
    if of_value is True:
        return lambda _key, value: value, "sort_values"
    return lambda _key, value: of_value(value), "sort_values"


class Ordering:
    """Arranges the records of one map task for the shuffle."""

    def __init__(self, step: Step, sort: SortOf | None, phase: str) -> None:
        self._group_of = step.group_key
        self._sort_of = sort
        self._phase = phase
        self._key_type = NONE
        self._group_type = NONE
        self._sort_type = NONE
        self._combined_type = NONE

    @property
    def key_type(self) -> KeyType:
        """The type of the keys that the records travel under."""
        return (self._key_type if self._group_of is None else self._group_type, self._sort_type)

    def arrange(self, keys: list[Any], values: list[Any]) -> tuple[list[Any], list[Any]]:
        """Keys and values as they travel. Raises UserCodeError for what the job's functions
        raise or give, KeyTypesError or KeyTypeError for the keys."""
        block_type = type_of_all(keys)
        self._key_type = join_types(self._key_type, block_type)
        keys = canonical_all(keys, block_type)
        sorts = self._sorts(keys, values)
        self._sort_type = self._typed(self._sort_type, sorts, self._phase)
        group_of = self._group_of
        if group_of is None:
            return list(zip(keys, sorts, strict=True)), values
        groups = self._called(lambda key, _: group_of(key), keys, values, "group_key")
        self._group_type = self._typed(self._group_type, groups, "group_key")
        return list(zip(groups, sorts, strict=True)), list(zip(keys, values, strict=True))

    def sort(self, key: Any, values: Iterator[Any]) -> Iterator[Any]:
        """The values of one key as a combiner sees them."""
        if self._sort_of is None:
            return values
        held = list(values)
        sorts = self._sorts([key] * len(held), held)
        self._combined_type = self._typed(self._combined_type, sorts, self._phase)
        order = sorted(range(len(held)), key=[encode(canonical(s)) for s in sorts].__getitem__)
        return iter([held[at] for at in order])

    def _sorts(self, keys: list[Any], values: list[Any]) -> list[Any]:
        if self._sort_of is None:
            return keys
        return self._called(self._sort_of, keys, values, self._phase)

    def _called(
        self, function: SortOf, keys: list[Any], values: list[Any], phase: str
    ) -> list[Any]:
        found: list[Any] = []
        try:
            found.extend(map(function, keys, values))
        except (Exception, SystemExit) as error:  # noqa: BLE001
            record = bounded_repr((keys[len(found)], values[len(found)]))
            raise UserCodeError(failure_of(error, phase, record=record)) from None
        return found

    def _typed(self, known: KeyType, found: list[Any], phase: str) -> KeyType:
        """The type of all that was found so far."""
        try:
            return join_types(known, type_of_all(found))
        except TypeError as error:
            culprit = _first_misfit(known, found)
            failure = failure_of(error, phase, record=bounded_repr(culprit))
            raise UserCodeError(failure) from None


def _first_misfit(known: KeyType, found: list[Any]) -> Any:
    for item in found:
        try:
            known = join_types(known, type_of(item))
        except TypeError:
            return item
    return None

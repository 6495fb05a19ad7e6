"""Running the user's combiner on the groups of a spill."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mapreduce.errors import UserCodeError
from mapreduce.shuffle.keys import canonical, encode, type_of
from mapreduce.step_class import Step
from mapreduce.task.failure import bounded_repr, failure_of
from mapreduce.task.ordering import Ordering
from mapreduce.task.side import SideKey


class Combiner:
    """The combiner of one map task; counts what it lets out."""

    def __init__(self, step: Step, ordering: Ordering | None = None) -> None:
        self._step = step
        self._ordering = ordering
        self._call: Any = step.combiner
        self.records = 0

    def begin(self) -> None:
        """Before a spill."""
        self._hook("combiner_init")

    def end(self) -> None:
        """Behind a spill."""
        self._hook("combiner_final")

    def combine(self, key: Any, values: Iterator[Any]) -> Iterator[tuple[Any, Any]]:
        """The pairs that stand for a group; they have its key."""
        if self._ordering:
            values = self._ordering.sort(key, values)
        try:
            for out, value in self._call(key, values) or ():
                if out is not key:
                    _check_key(out, key)
                self.records += 1
                yield key, value
        except (Exception, SystemExit) as error:  # noqa: BLE001
            failure = failure_of(error, "combiner", record=bounded_repr(key))
            raise UserCodeError(failure) from None

    def _hook(self, name: str) -> None:
        hook = getattr(self._step, name)
        if hook is None:
            return
        try:
            hook()
        except (Exception, SystemExit) as error:  # noqa: BLE001
            raise UserCodeError(failure_of(error, name)) from None


def _check_key(out: Any, key: Any) -> None:
    if isinstance(out, SideKey):
        raise ValueError(
            f"the combiner yields {out!r}: it runs any number of times, so only a mapper or a"
            " reducer may write to a side output"
        )
    type_of(out)
    if encode(canonical(out)) != encode(key):
        raise ValueError(
            f"the combiner yields the key {bounded_repr(out)} for the group of"
            f" {bounded_repr(key)}: it must keep the key"
        )

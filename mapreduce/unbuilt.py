"""What the interface of jobs will have and this version has not: refused, never ignored.

A job that uses such a thing would run to its end and give a wrong answer, so it is refused when
its class is looked at. The tables shrink as the things are built.
"""

from __future__ import annotations

from typing import Any

from dfs.errors import BadArgument

_ATTRIBUTES = {
    "mapper_frame": "mapper gets one record at a time",
    "reducer_frame": "reducer gets one key at a time",
    "keys": "it belongs to mapper_frame",
}
"""Attributes of a job, and what holds without them."""

NAMES = frozenset(
    {
        *("CSV", "Parquet", "Records"),
        *("Count", "Distinct", "First", "Max", "Mean", "Min", "Sum", "Top"),
    }
)
"""Names of the package ``mapreduce`` that are still to come."""

_OF_CLASSES = {"steps"} | {
    f"{phase}_{hook}" for phase in ("mapper", "combiner", "reducer") for hook in ("init", "final")
}


class NotBuilt(BadArgument, AttributeError):  # noqa: N818 - named for what happened
    """The job uses something that this version does not have."""


def check_class(job_class: type, where: str) -> None:
    """Raise NotBuilt if a Job class uses what is not built."""
    for name, instead in _ATTRIBUTES.items():
        if hasattr(job_class, name):
            raise NotBuilt(f"{where}: {name} is not built yet: {instead}", where)


def check_functions(names: dict[str, Any], where: str) -> None:
    """Raise NotBuilt if a job file of plain functions has functions that would be ignored."""
    for name, instead in _ATTRIBUTES.items():
        if callable(names.get(name)):
            raise NotBuilt(f"{where}: {name} is not built yet: {instead}", where)
    for name in sorted(_OF_CLASSES):
        if callable(names.get(name)):
            raise NotBuilt(f"{where}: {name} belongs into a class that derives from mr.Job", where)


def missing(name: str) -> AttributeError:
    """What reading an unknown attribute of the package raises."""
    if name in NAMES:
        return NotBuilt(f"mr.{name} is not built yet")
    return AttributeError(f"module 'mapreduce' has no attribute {name!r}")

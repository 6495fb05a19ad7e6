"""What is decided about one run of a job, beside the job, its inputs and its output."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mapreduce.job import Settings
from mapreduce.wire import JobOptions


@dataclass(frozen=True, slots=True)
class Submission:
    """See the module's text."""

    settings: Settings = field(default_factory=Settings)
    options: JobOptions = field(default_factory=JobOptions)
    overwrite: bool = False
    name: str = ""
    py_files: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()

"""Output parts: records in blocks through the job's output format into a file."""

from __future__ import annotations

from typing import Any, BinaryIO

from mapreduce.errors import UserCodeError
from mapreduce.formats import OutputFormat, RecordError
from mapreduce.formats.exact import Exact
from mapreduce.job_class import Job
from mapreduce.loader import module_of
from mapreduce.task.failure import bounded_repr, failure_of


def output_format(job: Job, is_exact: bool) -> OutputFormat:
    """The job's format, or exact records for the next step or a result without an output path."""
    return Exact(module_of(type(job))) if is_exact else job.writer()


class PartWriter:
    """Encodes blocks of records into one part file."""

    def __init__(self, form: OutputFormat, file: BinaryIO) -> None:
        self._format = form
        self._file = file
        self.output_bytes = 0
        self.records = 0

    def add(self, keys: list[Any], values: list[Any]) -> None:
        """Write a block; raises UserCodeError for a record that the format cannot hold."""
        try:
            data = self._format.encode(keys, values)
        except RecordError as error:
            record = bounded_repr(error.record)
            raise UserCodeError(failure_of(error, "output", record=record)) from None
        except Exception as error:  # str() of the user's own values  # noqa: BLE001
            raise UserCodeError(failure_of(error, "output")) from None
        self._file.write(data)
        self.output_bytes += len(data)
        self.records += len(keys)

    def close(self) -> None:
        """The part is complete."""
        self._file.close()

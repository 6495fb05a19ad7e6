"""What a job ships to its tasks: its code as a bundle, and side files."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b, file_digest
from pathlib import Path

from mapreduce import bundle as bundles
from mapreduce import pickled_job
from mapreduce.bundle import Bundle
from mapreduce.job import DIGEST_BYTES, SideFile, check_side_files
from mapreduce.job_class import Job, source_of
from mapreduce.side_files import found_here


def bundle_of(job: Job, py_files: Sequence[Path]) -> Bundle:
    """The job file, or the class of a job that lies in none, with these modules and packages.
    Raises NotFound for a file that is not there, BadArgument for what cannot be packed."""
    source = source_of(type(job))
    if source:
        return bundles.build(Path(source), py_files)
    return bundles.build_of(pickled_job.ENTRY, pickled_job.dump(type(job)), py_files)


def side_files_of(job: Job, given: Sequence[Path]) -> tuple[SideFile, ...]:
    """The side files, which `job` finds from now on. Raises BadArgument, NotFound."""
    paths = found_here(given)
    job.give_files(paths)
    files = tuple(_side_file(name, path) for name, path in paths.items())
    check_side_files(files)
    return files


def _side_file(name: str, path: Path) -> SideFile:
    with path.open("rb") as file:
        digest = file_digest(file, lambda: blake2b(digest_size=DIGEST_BYTES)).hexdigest()
        return SideFile(name, digest, file.tell())

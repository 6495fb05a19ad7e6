"""The cluster runner: submit a job to the master, watch it, fetch what it gives.

Inputs and output are paths of the DFS. The job's code goes into a bundle that is named by its
digest and uploaded once. A job without output path leaves its parts in a hidden folder; they
are copied here, dropped there, and the result yields their records.

``run`` does it all. ``submit``, ``watch`` and ``result_of`` are its three parts, for callers that
show progress or do not wait.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import msgspec

import dfs
from dfs.client.client import Client
from dfs.client.entries import Entry
from dfs.errors import BadArgument, DfsError, Exists, JobKilled, NotFound, OutcomeUnknown
from dfs.limits import SECOND_NS
from dfs.wire.common import Ok
from mapreduce.bundle import Bundle
from mapreduce.errors import JobFailed
from mapreduce.formats.exact import Exact
from mapreduce.input_class import named_paths
from mapreduce.job import DIGEST_BYTES, JobSpec, Settings, SideFile
from mapreduce.job_class import Job, spec_of
from mapreduce.loader import module_of
from mapreduce.plan import plan_of
from mapreduce.records import READ_BYTES
from mapreduce.result import Result
from mapreduce.runners.asking import ask
from mapreduce.runners.files import DFS_SCHEME, all_dfs_entries, dfs_path
from mapreduce.runners.packing import bundle_of, side_files_of
from mapreduce.runners.sampling import needs_cuts, with_cuts
from mapreduce.runners.submission import Submission
from mapreduce.side_files import Paths
from mapreduce.splits import InputFile, plan_splits
from mapreduce.wire import (
    SPLITS_PER_PAGE,
    AddSplits,
    DropOutput,
    JobNews,
    JobState,
    JobSubmitted,
    KillJob,
    PlannedSplit,
    StartJob,
    SubmitJob,
    WatchJob,
    bundle_path,
    side_file_path,
)

WAIT_NS = 2 * SECOND_NS
"""How long the master may hold an answer back: less than a client waits for one."""
PAGE_MAX_CHARS = 256 * 1024
"""Paths in one page of splits; a message has at most 1 MiB."""
FILE_SCHEME = "file:"
BUNDLE_TRIES = 3

NumberedFile: TypeAlias = tuple[int, Entry]
"""A file to read, and the number of the input that it belongs to."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job on its way. ``folder`` holds its parts when it has no output path."""

    job_id: str
    spec: JobSpec
    folder: str
    maps: int


def run(job: Job, inputs: Sequence[str], output: str | None, settings: Settings) -> Result:
    """Run a job on the configured cluster and wait for its end.

    Raises JobFailed, JobKilled, NotFound for inputs, Exists for the output, Unavailable. An
    interrupt kills the job.
    """
    with dfs.connect() as fs:
        submitted = submit(fs, job, inputs, output, Submission(settings))
        return result_of(fs, job, submitted, watch(fs, submitted.job_id))


def submit(
    fs: Client, job: Job, inputs: Sequence[str], output: str | None, submission: Submission
) -> Submitted:
    """Start a job; returns when the cluster has it safe.

    A job that was submitted and not returned is killed, whatever came between: nobody watches
    it, and its caller may well submit it again.
    """
    target = None if output is None else _inside(output)
    files = expand(fs, named_paths(job.inputs, inputs))
    spec, bundle = _upload(fs, job, submission, collect=output is None)
    if needs_cuts(spec, job):
        spec = _with_cuts(fs, spec, job, files)
    word = SubmitJob(
        secrets.token_bytes(16),
        spec,
        target or "",
        submission.overwrite,
        submission.options,
    )
    accepted = _open_job(fs, word, bundle)
    try:
        _put_side_files(fs, accepted.job, spec.files, job.side_files)
        maps = 0
        for page in _pages(_planned(files, submission.settings, job.whole_files())):
            ask(fs, AddSplits(accepted.job, maps, page), Ok)
            maps += len(page)
        ask(fs, StartJob(accepted.job, maps), Ok)
        return Submitted(accepted.job, spec, accepted.folder, maps)
    except BaseException as error:
        _give_up(fs, accepted.job, error)
        raise


def _give_up(fs: Client, job_id: str, why: BaseException) -> None:
    """Kill a job that was not started for certain; says so where even that is not known."""
    try:
        ask(fs, KillJob(job_id), Ok)
    except DfsError as error:
        if isinstance(why, DfsError):
            raise OutcomeUnknown(
                f"{why.message}; {job_id} may be running: see 'minimr status {job_id}' before"
                " you run it again"
            ) from error


def watch(
    fs: Client, job_id: str, on_news: Callable[[JobNews], None] = lambda news: None
) -> JobNews:
    """Wait for the end of a job; ``on_news`` hears of each change. An interrupt kills it."""
    try:
        return follow(fs, job_id, on_news)
    except KeyboardInterrupt:
        ask(fs, KillJob(job_id), Ok)
        raise


def follow(fs: Client, job_id: str, on_news: Callable[[JobNews], None]) -> JobNews:
    """Wait for the end of a job; ``on_news`` hears of each change. An interrupt ends the waiting
    alone."""
    cursor = 0
    while True:
        news = ask(fs, WatchJob(job_id, cursor, WAIT_NS), JobNews)
        on_news(news)
        if news.report.state.is_final:
            return news
        cursor = news.cursor


def result_of(fs: Client, job: Job, submitted: Submitted, end: JobNews) -> Result:
    """What a job that has ended gives; raises JobFailed, JobKilled."""
    report = end.report
    if report.state is JobState.FAILED:
        raise JobFailed(report.error or f"{report.job} failed", report.job, end.failure)
    if report.state is JobState.KILLED:
        raise JobKilled(f"{report.job}: {report.error or 'killed'}")
    names = _part_names(submitted)
    if not report.output:
        form = Exact(module_of(type(job)))
        return _fetched(fs, submitted, names, report.counters, form)
    output = report.output

    def records() -> Iterator[tuple[Any, Any]]:
        with dfs.connect() as again:
            for name in names:
                with again.open(f"{output}/{name}", "rb") as file:
                    yield from job.writer().decode(cast(BinaryIO, file))

    return Result(report.job, output, report.counters, records)


def _fetched(
    fs: Client,
    submitted: Submitted,
    names: Sequence[str],
    counters: Mapping[str, dict[str, int]],
    form: Exact,
) -> Result:
    """A result whose parts are copied to a temporary folder that lives as long as it does."""
    keep = tempfile.TemporaryDirectory(prefix="minimr-")
    folder = Path(keep.name)
    for name in names:
        fs.get(f"{submitted.folder}/{name}", folder / name)
    ask(fs, DropOutput(submitted.job_id), Ok)

    def records(owner: object = keep) -> Iterator[tuple[Any, Any]]:
        for name in names:
            with (folder / name).open("rb") as file:
                yield from form.decode(file)

    return Result(submitted.job_id, None, dict(counters), records)


def _part_names(submitted: Submitted) -> list[str]:
    return plan_of(submitted.spec, submitted.maps)[-1].part_names()


# -- inputs


def expand(fs: Client, named: Sequence[tuple[int, str]]) -> list[NumberedFile]:
    """The files that inputs mean, in order: a file, a directory's files, or a glob's."""
    found = all_dfs_entries(fs, [_inside(path) for _, path in named])
    numbers = (number for number, _ in named)
    return [(number, file) for number, files in zip(numbers, found, strict=True) for file in files]


def _inside(path: str) -> str:
    """The DFS path that is meant; a local one is refused."""
    if path.startswith(FILE_SCHEME):
        raise BadArgument(f"{path}: a job on the cluster reads the DFS; 'minidfs put' it first")
    return dfs_path(path) if path.startswith(DFS_SCHEME) else "/" + path.lstrip("/")


def _planned(
    files: Iterable[NumberedFile], settings: Settings, whole_files: Sequence[bool]
) -> Iterator[PlannedSplit]:
    for number, file in files:
        for split in plan_splits(
            [InputFile(file.path, file.size, file.chunk_size)],
            settings.split_bytes,
            whole_files=whole_files[number],
            number=number,
        ):
            yield PlannedSplit(split, file.inode)


def _with_cuts(fs: Client, spec: JobSpec, job: Job, files: Iterable[NumberedFile]) -> JobSpec:
    """The description with cut points, from a sample that is read here."""
    splits = [planned.split for planned in _planned(files, spec.settings, job.whole_files())]

    def open_at(number: int, offset: int) -> BinaryIO:
        file = cast(BinaryIO, fs.open(splits[number].path, "rb"))
        file.seek(offset)
        return file

    return with_cuts(spec, job, splits, open_at)


def _pages(splits: Iterable[PlannedSplit]) -> Iterator[tuple[PlannedSplit, ...]]:
    page: list[PlannedSplit] = []
    chars = 0
    for planned in splits:
        if page and (len(page) >= SPLITS_PER_PAGE or chars >= PAGE_MAX_CHARS):
            yield tuple(page)
            page, chars = [], 0
        page.append(planned)
        chars += len(planned.split.path)
    if page:
        yield tuple(page)


# -- code


def _upload(
    fs: Client, job: Job, submission: Submission, *, collect: bool
) -> tuple[JobSpec, Bundle]:
    """The job's description, and its bundle, which is in the cluster then."""
    bundle = bundle_of(job, submission.py_files)
    spec = spec_of(job, bundle.digest, bundle.entry, submission.settings, collect)
    _put_bundle(fs, bundle)
    side_files = side_files_of(job, submission.files)
    name = submission.name or spec.name
    return msgspec.structs.replace(spec, name=name, files=side_files), bundle


def _put_bundle(fs: Client, bundle: Bundle) -> None:
    """Have the bundle in the cluster."""
    path = bundle_path(bundle.digest)
    if not fs.exists(path):
        with suppress(Exists):  # somebody else was as quick; the name says that it is the same
            fs.write_bytes(path, bundle.data, overwrite=False)


def _put_side_files(fs: Client, job_id: str, files: Sequence[SideFile], here: Paths) -> None:
    """Have the side files in the job's folder. Raises BadArgument for one that has changed."""
    for file in files:
        digest = blake2b(digest_size=DIGEST_BYTES)
        with here[file.name].open("rb") as source:
            target = cast(BinaryIO, fs.open(side_file_path(job_id, file.name), "wb"))
            with target:
                while piece := source.read(READ_BYTES):
                    digest.update(piece)
                    target.write(piece)
        if digest.hexdigest() != file.digest:
            raise BadArgument(f"--files {here[file.name]} changed while the job was submitted")


def _open_job(fs: Client, word: SubmitJob, bundle: Bundle) -> JobSubmitted:
    """Submit a job. Its bundle may have gone between, with the last job that had the same."""
    for _ in range(BUNDLE_TRIES):
        try:
            return ask(fs, word, JobSubmitted)
        except NotFound:
            _put_bundle(fs, bundle)
    return ask(fs, word, JobSubmitted)

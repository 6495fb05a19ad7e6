"""The life of a job outside the scheduler: from its submission to the last of its rows.

A job is submitted, gets its splits in pages, and is started; then the scheduler has it until it
ends. What nobody comes back for is cleared away: a job that is not started in time, the parts of a
job without output path that nobody drops, the rows of jobs that ended a week ago and, when too many
have ended, of the oldest. These times are soft; those of parts and of jobs that were not started
begin anew with the master. A new book is empty: ``standing`` tells it what the tables know.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from dfs.errors import BadArgument, Exists, NotFound, Unavailable
from dfs.events import Now
from dfs.namenode.module import Command, View
from dfs.paths import join_path, split_path
from mapreduce.commands import (
    JobEnded,
    JobReady,
    JobSubmitted,
    OutputDropped,
    RowsDropped,
    SplitsAdded,
)
from mapreduce.job import StepSpec, check_partitions, check_priority, check_side_files
from mapreduce.limits import (
    JOB_KEEP_NS,
    JOB_OUTPUT_KEEP_NS,
    JOB_START_DEADLINE_NS,
    JOBS_ACTIVE_MAX,
    JOBS_ENDED_KEPT,
    MAPS_MAX,
    ROWS_DROPPED_MAX,
    STEPS_MAX,
)
from mapreduce.master import events as ev
from mapreduce.master.bundles import Bundles
from mapreduce.master.commit import Totals, job_folder, output_folder
from mapreduce.master.history import drop_slice
from mapreduce.master.rows import (
    job_id,
    must_job,
    next_number,
    resolve,
    split_indexes,
    task_keys,
)
from mapreduce.master.steps import submitted_at
from mapreduce.master.storage import Storage
from mapreduce.tables import JobRow
from mapreduce.wire import (
    SPLITS_PER_PAGE,
    AddSplits,
    JobState,
    Locality,
    StartJob,
    SubmitJob,
)


class Tidied(NamedTuple):
    """What clears something away; the job that failed by it, the one whose last row goes, or ''."""

    commands: list[Command]
    failed: str = ""
    forgotten: str = ""


class JobBook:
    """See the module's text."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._tokens: dict[bytes, str] = {}
        self._totals: dict[str, Totals] = {}
        self._expires: dict[str, int] = {}
        self._ended: deque[tuple[str, int]] = deque()
        self._bundles = Bundles(storage)

    # -- at the start of the master

    def take_up(self, row: JobRow, now: Now) -> None:
        """A job that has ended, or was not started yet."""
        self._know(row)
        if row.state.is_final:
            self._file_away(row.job, row.keeps_output, now, now.wall_ns - row.ended_ns)
        else:
            self._expires[row.job] = now.mono_ns + JOB_START_DEADLINE_NS

    def go_on(self, row: JobRow, totals: Totals) -> None:
        """A job that was under way, with the totals of what it had committed."""
        self._know(row)
        self._totals[row.job] = totals

    def _know(self, row: JobRow) -> None:
        self._bundles.name(row.spec.bundle)
        self._tokens[row.token] = row.job

    # -- while the scheduler has it

    def totals(self, job: str) -> Totals:
        """The totals of a job that the scheduler has."""
        return self._totals[job]

    # -- from submission to start

    def submit(self, view: View, user: str, word: SubmitJob, now: Now) -> tuple[str, list[Command]]:
        """A new job, or the one that this token got before. Returns its id."""
        known = self._tokens.get(word.token)
        if known is not None:
            return known, []
        output = self._check(view, word)
        number = next_number(view.table)
        job = job_id(number, now.wall_ns)
        row = JobRow(
            job,
            user,
            word.token,
            word.spec,
            output,
            word.overwrite,
            word.options,
            now.wall_ns,
        )
        folder = self._storage.make_folder(view, output_folder(job), now)
        self._tokens[word.token] = job
        self._bundles.name(word.spec.bundle)
        self._expires[job] = now.mono_ns + JOB_START_DEADLINE_NS
        return job, [JobSubmitted(number, row), *folder]

    def _check(self, view: View, word: SubmitJob) -> str:
        """The output path in its one spelling; raises what is wrong with the request."""
        if not word.token:
            raise BadArgument("a job is submitted with a token")
        _check_steps(word.spec.steps)
        if word.options.max_attempts < 1:
            raise BadArgument(f"max_attempts is {word.options.max_attempts}: at least 1")
        check_priority(word.spec.settings.priority)
        check_side_files(word.spec.files)
        if len(self._totals) + len(self._expires) >= JOBS_ACTIVE_MAX:
            raise Unavailable(f"{JOBS_ACTIVE_MAX} jobs are under way; wait until some have ended")
        output = join_path(split_path(word.output)) if word.output else ""
        if output and not word.overwrite and self._storage.exists(view, output):
            raise Exists(f"{output} exists; --overwrite replaces it", output)
        if not self._bundles.exists(view, word.spec.bundle):
            raise NotFound("the job's code is not in the cluster: upload it first")
        return output

    def add_splits(self, view: View, word: AddSplits) -> list[Command]:
        """A page of splits; one that is there already changes nothing."""
        number, row = resolve(view.table, word.job)
        if row.ready or word.first + len(word.splits) <= row.maps:
            return []
        if row.state.is_final:
            raise NotFound(f"{row.job} has ended before it was started", row.job)
        if word.first != row.maps:
            raise BadArgument(f"splits from {word.first} on, but {row.job} has {row.maps}")
        if len(word.splits) > SPLITS_PER_PAGE or word.first + len(word.splits) > MAPS_MAX:
            raise BadArgument(
                f"a job has at most {MAPS_MAX} maps, a page {SPLITS_PER_PAGE} splits;"
                " larger split_bytes make fewer maps"
            )
        return [SplitsAdded(number, word.first, word.splits)]

    def start(self, view: View, word: StartJob) -> tuple[ev.JobSubmitted | None, list[Command]]:
        """The job may run; None when it does already."""
        number, row = resolve(view.table, word.job)
        if row.state.is_final and not row.ready:
            raise NotFound(f"{row.job} has ended before it was started: {row.error}", row.job)
        if row.ready:
            return None, []
        if word.maps != row.maps:
            raise BadArgument(f"{row.job} has {row.maps} splits and should have {word.maps}")
        del self._expires[row.job]
        self._totals[row.job] = Totals()
        return submitted_at(row, 0), [JobReady(number)]

    # -- the end

    def end(self, job: str, keeps_output: bool, now: Now) -> None:
        """A job has ended."""
        self._totals.pop(job, None)
        self._expires.pop(job, None)
        self._file_away(job, keeps_output, now)

    def _file_away(self, job: str, keeps_output: bool, now: Now, age_ns: int = 0) -> None:
        self._ended.append((job, now.mono_ns + JOB_KEEP_NS - max(0, age_ns)))
        if keeps_output:
            self._expires[job] = now.mono_ns + JOB_OUTPUT_KEEP_NS

    def cancel(self, view: View, job: str, state: JobState, why: str, now: Now) -> list[Command]:
        """End a job that was never started."""
        number, row = must_job(view.table, job)
        assert not row.ready, f"{job} was started"
        self.end(job, False, now)
        ended = JobEnded(number, state, why, None, {}, Locality(), 0, 0, now.wall_ns)
        return [ended, *self._storage.discard(view, job_folder(job), now)]

    def drop_output(self, view: View, job: str, now: Now) -> list[Command]:
        """Remove the parts that an ended job without output path keeps."""
        number, row = must_job(view.table, job)
        self._expires.pop(job, None)
        if not row.keeps_output:
            return []
        return [OutputDropped(number), *self._storage.discard(view, job_folder(job), now)]

    # -- time

    def tidy(self, view: View, now: Now) -> Tidied:
        """Clear away one thing that is due."""
        for job, expires_ns in self._expires.items():
            if expires_ns <= now.mono_ns:
                return self._expire(view, job, now)
        forget_ns = self._forget_ns()
        if forget_ns is not None and forget_ns <= now.mono_ns:
            return self._forget(view, self._ended[0][0], now)
        return Tidied(self._bundles.tidy(view, now))

    def _expire(self, view: View, job: str, now: Now) -> Tidied:
        _, row = must_job(view.table, job)
        if row.state.is_final:
            return Tidied(self.drop_output(view, job, now))
        why = "it was not started in time"
        return Tidied(self.cancel(view, job, JobState.FAILED, why, now), failed=job)

    def _forget(self, view: View, job: str, now: Now) -> Tidied:
        """Drop a slice of an ended job's rows; its parts go with the first one."""
        number, row = must_job(view.table, job)
        events = drop_slice(view.table, number)
        if events:
            return Tidied([*self.drop_output(view, job, now), *events])
        splits = split_indexes(view.table, number, ROWS_DROPPED_MAX)
        tasks = task_keys(view.table, number, ROWS_DROPPED_MAX - len(splits))
        whole = len(splits) + len(tasks) < ROWS_DROPPED_MAX
        commands = self.drop_output(view, job, now)
        commands.append(RowsDropped(number, tuple(splits), tuple(tasks), whole))
        if not whole:
            return Tidied(commands)
        self._ended.popleft()
        self._tokens.pop(row.token, None)
        commands += self._bundles.release(view, row.spec.bundle, now)
        return Tidied(commands, forgotten=job)

    def next_deadline(self) -> int:
        """When ``tidy`` has something to do (ns, monotonic)."""
        times = [*self._expires.values(), self._bundles.next_deadline()]
        forget_ns = self._forget_ns()
        return min(times if forget_ns is None else [*times, forget_ns])

    def _forget_ns(self) -> int | None:
        """When the oldest ended job goes (ns, monotonic)."""
        if len(self._ended) > JOBS_ENDED_KEPT:
            return 0
        return self._ended[0][1] if self._ended else None


def _check_steps(steps: tuple[StepSpec, ...]) -> None:
    if not 1 <= len(steps) <= STEPS_MAX:
        raise BadArgument(f"the job has {len(steps)} steps: 1 to {STEPS_MAX} are possible")
    for step in steps:
        check_partitions(step.partitions)

"""What the runs that are watched share: what was asked of them, and telling how they go."""

from __future__ import annotations

from pathlib import Path

from cli.invocation import Invocation
from cli.jobs.progress import Progress
from cli.jobs.request import Request
from mapreduce.errors import JobFailed
from mapreduce.job import parse_settings
from mapreduce.runners.submission import Submission
from mapreduce.wire import JobNews, JobOptions

ATTEMPT_FAILED = "attempt_failed"


def submission_of(request: Request) -> Submission:
    """The request as the runners take it; raises BadArgument for bad settings."""
    defaults = JobOptions()
    options = JobOptions(
        max_attempts=request.max_attempts or defaults.max_attempts,
        task_timeout_ns=request.task_timeout_ns or defaults.task_timeout_ns,
        task_memory_bytes=request.task_memory_bytes or defaults.task_memory_bytes,
        env=request.env,
        speculative=request.speculative is not False,
    )
    return Submission(
        parse_settings(request.settings),
        options,
        request.overwrite,
        request.name or "",
        tuple(Path(path) for path in request.py_files),
        tuple(Path(path) for path in request.files),
    )


class Watcher:
    """Tells what happens to a job: the first failed attempt, and the first traceback if that
    had none. Later ones are counted in the progress."""

    def __init__(self, call: Invocation, progress: Progress) -> None:
        self._call = call
        self._progress = progress
        self._told: list[str] = []

    def on_news(self, news: JobNews) -> None:
        """Events and progress since the last time."""
        for event in news.events:
            if event.kind == ATTEMPT_FAILED and self._is_new(event.text):
                self._told.append(event.text)
                self._progress.say(f"{self._call.program}: {event.text}")
        self._progress.show(news.report, news.progress)

    def _is_new(self, text: str) -> bool:
        return not self._told or ("\n" in text and "\n" not in "".join(self._told))

    def in_short(self, error: JobFailed) -> JobFailed:
        """The error that ended the job; what was told in full is not told again, except to a
        program that reads JSON."""
        if self._call.json or error.message not in self._told:
            return error
        attempt, _, _ = error.message.partition(" failed: ")
        message = f"{error.job_id} failed: the error of {attempt} is shown above"
        return JobFailed(message, error.job_id, error.failure)

"""What Ctrl-C means while a run is watched.

On a terminal the first one asks whether to kill the job; a second one, at the question, leaves it
running. Where nobody can answer the first one leaves it running. Whoever leaves is told how to
come back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from cli.invocation import Invocation
from cli.jobs.ask import ask
from cli.jobs.progress import Progress
from dfs.wire.common import Ok
from mapreduce.wire import KillJob

End = TypeVar("End")
YES = ("y", "yes")


def watch_patiently(
    call: Invocation, job: str, progress: Progress, watch: Callable[[], End], greeting: str
) -> End:
    """Say ``greeting``, and return what ``watch`` does at the job's end, through interrupts.

    Raises KeyboardInterrupt when the person leaves; the job runs on. Whoever has read that there
    is a job is inside the ``try``.
    """
    while True:
        try:
            if greeting:
                progress.say(greeting)
                greeting = ""
            return watch()
        except KeyboardInterrupt:
            progress.clear()
            back = f"come back with minimr wait {job}"
            if not (sys.stdin.isatty() and progress.stream.isatty()):
                progress.say(
                    f"{call.program}: {job} runs on: {back}, end it with minimr kill {job}"
                )
                raise
            if _wants_to_kill(job, back, progress):
                ask(call, KillJob(job), Ok)


def _wants_to_kill(job: str, back: str, progress: Progress) -> bool:
    """Ask; raises KeyboardInterrupt for a second interrupt."""
    question = f"kill {job}? [y/N]; Ctrl-C again leaves it running: {back} "
    try:
        progress.stream.write(question)
        progress.stream.flush()
        return sys.stdin.readline().strip().lower() in YES
    except KeyboardInterrupt:
        progress.say(f"\n{job} runs on")
        raise

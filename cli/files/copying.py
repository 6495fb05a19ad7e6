"""Copies of several files at a time, each one a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import click

from cli.errors import Failures

PARALLEL_COPIES = 4
QUEUED_PER_THREAD = 4
"""So many copies wait behind each running one; the list of files may be endless."""


def copy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that ``put`` and ``get`` share: ``force``, ``recursive``, ``parallel``."""
    parallel = click.option(
        "-j",
        "parallel",
        type=click.IntRange(1, 64),
        default=PARALLEL_COPIES,
        metavar="N",
        show_default=True,
        help="Files at a time.",
    )
    recursive = click.option(
        "-r", "recursive", is_flag=True, help="Copy directories with all they hold."
    )
    force = click.option("-f", "force", is_flag=True, help="Replace existing files.")
    return force(recursive(parallel(command)))


def copy_all(copies: Iterable[Callable[[], object]], parallel: int, failures: Failures) -> None:
    """Do all copies, ``parallel`` at a time; what goes wrong with one stays with it.

    ``copies`` is drawn from while others run; an error in drawing counts as one more failure.
    """
    running: set[Future[object]] = set()
    with ThreadPoolExecutor(parallel) as pool:
        try:
            with failures.collect(counts=False):
                for copy in copies:
                    running.add(pool.submit(copy))
                    if len(running) >= parallel * QUEUED_PER_THREAD:
                        running = _settle(running, failures)
            while running:
                running = _settle(running, failures)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _settle(running: set[Future[object]], failures: Failures) -> set[Future[object]]:
    """Wait for at least one copy to end; returns the others."""
    ended, others = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        with failures.collect():
            future.result()
    return others

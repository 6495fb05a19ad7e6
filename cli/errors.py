"""What a command says when it cannot do what was asked, and the code it ends with.

Every error is one line on stderr, as JSON where --json was given; a traceback is shown only with
-v. Exit codes stand on the error classes (``dfs.errors``); those of the system's own errors about
local files are here. A reader that went away (a broken pipe) is no error.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from cli.invocation import Invocation
from dfs.errors import DfsError, JobFault

EXIT_OTHER = 1
EXIT_USAGE = 2
EXIT_PARTLY_DONE = 8
EXIT_INTERRUPTED = 130

_LOCAL_CODES: tuple[tuple[type[OSError], int, str], ...] = (
    (FileNotFoundError, 3, "not_found"),
    (FileExistsError, 4, "exists"),
    (IsADirectoryError, 4, "is_a_directory"),
    (NotADirectoryError, 4, "not_a_directory"),
    (PermissionError, 6, "permission"),
)


def run(group: click.Group, arguments: Sequence[str], program: str) -> int:
    """Run a command line to its end; returns the exit code."""
    invocation = Invocation(program)
    try:
        with group.make_context(program, list(arguments), obj=invocation) as context:
            group.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as ending:
        return _flushed(ending.exit_code)
    except click.UsageError as error:
        return _usage_error(error, invocation)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except Exception as error:  # noqa: BLE001 - the edge of the process: nothing is above it
        return report(error, invocation)
    finally:
        invocation.close()


def report(error: Exception, invocation: Invocation) -> int:
    """Say what went wrong; returns the exit code."""
    exit_code, code, message, path = _describe(error)
    if invocation.verbose:
        traceback.print_exception(error, file=sys.stderr)
    if invocation.json:
        fields = {"code": code, "message": message, "path": path}
        print(json.dumps({"v": 1, "error": fields}, ensure_ascii=False), file=sys.stderr)
    else:
        # A job's own traceback begins on a line of its own.
        at_length = isinstance(error, JobFault) and "\n" in message
        separator = ": the job failed:\n" if at_length else ": "
        print(f"{invocation.program}{separator}{message}", file=sys.stderr)
    return exit_code


class Failures:
    """Errors of single operands of a command: each is said at once, and the others go on."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._exit_codes: list[int] = []
        self._done = 0

    @contextmanager
    def collect(self, counts: bool = True) -> Iterator[None]:
        """What goes wrong in the block ends only the block.

        A block that ``counts`` does a part of the work: something is done when it is through.
        """
        try:
            yield
        except BrokenPipeError:
            raise
        except (DfsError, OSError) as error:
            self._exit_codes.append(report(error, self._invocation))
        else:
            self._done += counts

    def finish(self) -> None:
        """End the command: as usual, as partly done, or with the code of the first error."""
        if self._exit_codes:
            code = EXIT_PARTLY_DONE if self._done else self._exit_codes[0]
            raise click.exceptions.Exit(code)


def _describe(error: Exception) -> tuple[int, str, str, str]:
    """Exit code, code, message and path of an error."""
    if isinstance(error, DfsError):
        return error.exit_code, error.code, error.message, error.path
    if isinstance(error, OSError):
        path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        place = f"{path}: " if path else ""
        message = f"{place}{error.strerror or error}"
        for kind, exit_code, code in _LOCAL_CODES:
            if isinstance(error, kind):
                return exit_code, code, message, path
        return EXIT_OTHER, "local", message, path
    message = f"{type(error).__name__}: {error}: this is a fault of the program; -v shows where"
    return EXIT_OTHER, "internal", message, ""


def _usage_error(error: click.UsageError, invocation: Invocation) -> int:
    message = error.format_message()
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        print(message, file=sys.stderr)
        return EXIT_USAGE
    if invocation.json:
        fields = {"code": "usage", "message": message, "path": ""}
        print(json.dumps({"v": 1, "error": fields}, ensure_ascii=False), file=sys.stderr)
        return EXIT_USAGE
    command = error.ctx.command_path if error.ctx is not None else invocation.program
    one_line = " ".join(message.split())
    print(f"{command}: {one_line.rstrip('.')} (see '{command} --help')", file=sys.stderr)
    return EXIT_USAGE


def _flushed(exit_code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    return exit_code


def _forget_stdout() -> None:
    """Let the interpreter's own flush at the end go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

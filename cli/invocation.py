"""What every command has: the options for all of them, and the way to the cluster.

The library that talks to the cluster is imported when a command first needs it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dfs.errors import BadArgument, Unavailable
from dfs.limits import REQUEST_DEADLINE_NS, SECOND_NS
from dfs.quantities import parse_size, parse_time

if TYPE_CHECKING:
    from dfs.client.client import Client
    from dfs.config import Config

F = TypeVar("F", bound=Callable[..., Any])

SCHEME = "minidfs://"


@dataclass(slots=True)
class Invocation:
    """One run of a command: its common options and the connections it made."""

    program: str
    cluster: str | None = None
    timeout_ns: int = REQUEST_DEADLINE_NS
    verbose: bool = False
    json: bool = False
    _clients: dict[str, Client] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """A line for the person at the terminal, on stderr."""
        print(f"{self.program}: {text}", file=sys.stderr, flush=True)

    @property
    def config_file(self) -> Path:
        """The configuration file that counts; it need not exist."""
        from dfs.config_file import locate

        return locate(self.cluster, os.environ, Path.home())

    @property
    def home(self) -> Path:
        """MINIDFS_HOME."""
        from dfs.config_file import home_folder

        return home_folder(os.environ, Path.home())

    def config(self) -> Config:
        """The cluster's configuration.

        A missing file that nobody named means that there is no cluster yet: Unavailable.
        """
        from dfs.config_file import load

        path = self.config_file
        named = self.cluster or os.environ.get("MINIDFS_CLUSTER")
        if not named and not path.exists():
            raise Unavailable(
                f"no cluster is configured ({path} does not exist): start one here with"
                " 'minidfs up', or name its configuration with --cluster",
                str(path),
            )
        return load(path)

    def client(self, target: str = "") -> Client:
        """The connection to a cluster, made once; '' is the one of the configuration."""
        if target not in self._clients:
            self._clients[target] = self._connect(target)
        return self._clients[target]

    def locate(self, operand: str) -> tuple[Client, str]:
        """The connection and the path that an operand such as ``minidfs://host:port/a`` means."""
        if not operand.startswith(SCHEME):
            return self.client(), operand.removeprefix("minidfs:") or "/"
        authority, slash, path = operand.removeprefix(SCHEME).partition("/")
        return self.client(authority and SCHEME + authority), slash + path or "/"

    def close(self) -> None:
        """End the connections."""
        while self._clients:
            self._clients.popitem()[1].close()

    def _connect(self, target: str) -> Client:
        from dfs import connect

        if not target:
            self.config()
        timeout = self.timeout_ns / SECOND_NS
        return connect(target or self.config_file, timeout, on_wait=self.say)


class Size(click.ParamType[int]):
    """A size such as ``64K``, in bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes, or a usage error that names the right spelling."""
        try:
            return value if isinstance(value, int) else parse_size(value)
        except BadArgument as error:
            self.fail(error.message, param, ctx)


class Time(click.ParamType[int]):
    """A time such as ``10s``, in nanoseconds; a bare number means seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Nanoseconds, or a usage error that names the right spelling."""
        try:
            if isinstance(value, int):
                return value
            return parse_time(value + "s" if value.isdigit() else value)
        except BadArgument as error:
            self.fail(error.message, param, ctx)


SIZE = Size()
TIME = Time()


def _note(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that keeps an option's value in the invocation if it was given."""

    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value is not None and value is not False:
            setattr(context.ensure_object(Invocation), name, value)

    return keep


def common(function: F) -> F:
    """Give a command the options that all commands have."""
    options = [
        click.option(
            "--cluster",
            metavar="FILE",
            expose_value=False,
            is_eager=True,
            callback=_note("cluster"),
            help="Configuration of the cluster, in place of $MINIDFS_HOME/cluster.toml.",
        ),
        click.option(
            "--timeout",
            type=TIME,
            metavar="TIME",
            expose_value=False,
            is_eager=True,
            callback=_note("timeout_ns"),
            help="How long requests are repeated when the cluster is busy or restarts (60s).",
        ),
        click.option(
            "--json",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_note("json"),
            help="Write results and errors as JSON, one object a line.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_note("verbose"),
            help="Tell more; show the traceback of an error.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


invocation = click.make_pass_decorator(Invocation)
"""Passes the ``Invocation`` to a command as its first argument."""

"""The command ``minidfs``: files of a cluster, and clusters."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar, NoReturn

import click

from cli.errors import run
from cli.invocation import common
from cli.lazy import LazyGroup, Verb


class MinidfsGroup(LazyGroup):
    """All verbs of ``minidfs``."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "up": Verb("cli.cluster.up", "start a cluster on this machine, in the background"),
        "down": Verb("cli.cluster.down", "stop the cluster on this machine"),
        "status": Verb("cli.cluster.status", "processes and health, with the reason"),
        "stop": Verb("cli.cluster.switch", "stop processes on purpose", "stop_command"),
        "start": Verb("cli.cluster.switch", "start what was stopped or is dead", "start_command"),
        "pause": Verb("cli.cluster.switch", "have processes stand still", "pause_command"),
        "resume": Verb("cli.cluster.switch", "let paused processes go on", "resume_command"),
        "logs": Verb("cli.cluster.logs", "what the processes here print"),
        "doctor": Verb("cli.doctor.command", "check this machine"),
        "config": Verb("cli.config.group", "look at the configuration"),
        "events": Verb("cli.cluster.events", "what happened, a line each"),
        "init": Verb("cli.cluster.init", "make a cluster's id and configuration"),
        "namenode": Verb("cli.cluster.roles", "run a namenode in the foreground", "namenode"),
        "datanode": Verb("cli.cluster.roles", "run a datanode in the foreground", "datanode"),
        "node": Verb("cli.cluster.roles", "run and keep a datanode and a worker", "node"),
        "put": Verb("cli.files.put", "copy local files into the cluster"),
        "get": Verb("cli.files.get", "copy files of the cluster to here"),
        "cat": Verb("cli.files.cat", "write files to stdout"),
        "ls": Verb("cli.files.ls", "list directories"),
        "stat": Verb("cli.files.stat", "show what is known of files"),
        "du": Verb("cli.files.du", "show how much lies in directories"),
        "df": Verb("cli.files.df", "show how much room there is"),
        "mkdir": Verb("cli.files.mkdir", "make directories"),
        "rm": Verb("cli.files.rm", "delete files and directories"),
        "mv": Verb("cli.files.mv", "rename files and directories"),
        "admin": Verb("cli.admin.group", "look after a cluster"),
        "version": Verb("cli.version", "say which version this is"),
    }


@click.command(cls=MinidfsGroup, context_settings={"max_content_width": 100})
@common
def minidfs() -> None:
    """Files of a minidfs cluster, and clusters on this machine."""


def main() -> NoReturn:
    """The console script."""
    sys.exit(run(minidfs, sys.argv[1:], "minidfs"))


if __name__ == "__main__":
    main()

"""``minidfs admin``: what whoever looks after a cluster needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from cli.invocation import common
from cli.lazy import LazyGroup, Verb


class AdminGroup(LazyGroup):
    """All verbs of ``minidfs admin``."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "report": Verb("cli.admin.report", "show room, nodes, chunks and work under way"),
        "fsck": Verb("cli.admin.fsck", "check that all is there and the metadata sound"),
        "chunks": Verb("cli.admin.chunks", "list a file's chunks and where they lie"),
        "safemode": Verb("cli.admin.safemode", "show or switch safe mode"),
        "verify": Verb("cli.admin.verify", "read everything and heal what is bad"),
        "backup": Verb("cli.admin.backup", "copy the metadata while the cluster serves"),
        "restore": Verb("cli.admin.restore", "put a backup in the place of the metadata"),
        "rebuild": Verb("cli.admin.rebuild", "make a lost namenode again from the datanodes"),
    }


@click.command("admin", cls=AdminGroup, context_settings={"max_content_width": 100})
@common
def command() -> None:
    """Look after a cluster: its health, its metadata, its nodes."""

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
        "rebuild": Verb("cli.admin.rebuild", "make a lost namenode again from the datanodes"),
    }


@click.command("admin", cls=AdminGroup, context_settings={"max_content_width": 100})
@common
def command() -> None:
    """Look after a cluster: its health, its metadata, its nodes."""

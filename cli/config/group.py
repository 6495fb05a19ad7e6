"""``minidfs config``: look at the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import click

from cli.invocation import common
from cli.lazy import LazyGroup, Verb


class ConfigGroup(LazyGroup):
    """All verbs of ``minidfs config``."""

    verbs: ClassVar[Mapping[str, Verb]] = {
        "check": Verb("cli.config.check", "say whether a configuration file is right"),
        "show": Verb("cli.config.show", "every setting, and where its value comes from"),
    }


@click.command("config", cls=ConfigGroup, context_settings={"max_content_width": 100})
@common
def command() -> None:
    """Look at the cluster's configuration."""

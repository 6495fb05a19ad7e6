"""A group of commands whose modules are imported only when they are used."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import ClassVar, NamedTuple

import click


class Verb(NamedTuple):
    """Where a command stands (``command`` in ``module``), and its line in the group's help."""

    module: str
    summary: str
    command: str = "command"


class LazyGroup(click.Group):
    """A group that knows its verbs by a table and loads one when it is called."""

    verbs: ClassVar[Mapping[str, Verb]]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of the table."""
        return list(self.verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, imported now."""
        verb = self.verbs.get(cmd_name)
        if verb is None:
            return None
        command = getattr(import_module(verb.module), verb.command)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb that ``args`` begin with; an unknown one is answered with the nearest name."""
        name = args[0]
        if name not in self.verbs and not name.startswith("-"):
            near = get_close_matches(name, self.verbs, 1)
            hint = f"did you mean {near[0]!r}?" if near else "see --help for what there is"
            ctx.fail(f"there is no command {name!r}: {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One line for each verb, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.summary) for name, verb in self.verbs.items()])

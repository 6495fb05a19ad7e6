"""``minidfs config show``: every setting as it counts, and where its value comes from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line, table
from dfs.config import Config
from dfs.config.schema import SECTIONS, keys_of
from dfs.config_file import load, role_folder
from dfs.local.layout import NAMENODE_ID

FILE, DEFAULT = "file", "default"
FOLDERS = {("namenode", "dir"), ("datanode", "dirs"), ("worker", "scratch")}


class Setting(NamedTuple):
    """One setting: its value as TOML, and whether it stands in the file."""

    section: str
    key: str
    value: str
    source: str


@click.command("show")
@common
@invocation
def command(call: Invocation) -> None:
    """Show every setting as it counts, folders in full, and where its value comes from."""
    call.config()
    path = call.config_file
    found = list(settings(path, call.home))
    if call.json:
        for setting in found:
            click.echo(json_line(setting._asdict()))
        return
    click.echo(f"# {path}")
    for line in table((f"{s.section}.{s.key} = {s.value}", f"# {s.source}") for s in found):
        click.echo(line)


def settings(path: Path, home: Path) -> Iterator[Setting]:
    """All settings in the order of the file; raises ConfigError."""
    config = load(path)
    with path.open("rb") as file:
        written = tomllib.load(file)
    for section, section_type in SECTIONS.items():
        for key in keys_of(section_type).values():
            value = key.kind.write(_resolved(config, section, key.field, key.name, home))
            source = FILE if key.name in written.get(section, {}) else DEFAULT
            yield Setting(section, key.name, value, source)


def _resolved(config: Config, section: str, field: str, key: str, home: Path) -> object:
    """The value; a folder in full, ``{id}`` in it only where it is one process's."""
    value = getattr(getattr(config, section), field)
    if (section, key) not in FOLDERS:
        return value
    process_id = NAMENODE_ID if section == "namenode" else "{id}"
    if isinstance(value, tuple):
        return tuple(str(role_folder(folder, process_id, home)) for folder in value)
    return str(role_folder(value, process_id, home))

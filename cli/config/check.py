"""``minidfs config check``: is a configuration file right?"""

from __future__ import annotations

from pathlib import Path

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.config_file import load


@click.command("check")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@common
@invocation
def command(call: Invocation, file: Path | None) -> None:
    """Check FILE, or the configuration that counts here.

    Ends with 2 and one line that names the file, the line and the remedy when it is wrong.
    """
    path = call.config_file if file is None else file.absolute()
    load(path)
    click.echo(json_line({"file": str(path), "ok": True}) if call.json else f"{path}: ok")

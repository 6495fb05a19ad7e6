"""``minidfs admin chunks``: the chunks of a file and where their replicas lie."""

from __future__ import annotations

import click

from cli.admin.ask import file_pages
from cli.admin.standing import chunk_fields, replica_list
from cli.invocation import Invocation, common, invocation
from cli.render import json_line, table

HEADER = ("OFFSET", "CHUNK", "GENERATION", "SIZE", "REPLICAS", "PATH")


@click.command("chunks")
@click.argument("path")
@common
@invocation
def command(call: Invocation, path: str) -> None:
    """List the chunks of the file PATH, or of all files below a directory.

    A replica is good, writing, stale (of an older generation), corrupt, missing, or dead (its
    node is). A small file has no chunks: the namenode keeps its content.
    """
    fs, path = call.locate(path)
    found = [chunk for page in file_pages(fs, path, all_chunks=True) for chunk in page.found]
    if call.json:
        for chunk in found:
            click.echo(json_line(chunk_fields(chunk)))
        return
    rows = [
        (str(c.start), str(c.chunk), str(c.generation), str(c.length), replica_list(c), c.path)
        for c in found
    ]
    for line in table([HEADER, *rows], frozenset({0, 1, 2, 3})):
        click.echo(line)

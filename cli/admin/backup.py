"""``minidfs admin backup``: the metadata, copied while the cluster serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from cli.invocation import Invocation, common, invocation
from cli.render import json_line
from dfs.client.backup import prepare, read_piece
from dfs.manifest import parse
from dfs.namenode.backup_folder import check_target, write_backup


@click.command("backup")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@common
@invocation
def command(call: Invocation, folder: Path) -> None:
    """Copy the metadata into DIR, which must be absent or empty.

    It has everything that was acknowledged before; chunks of files are not in it.
    """
    check_target(folder)
    client = call.client()
    state = client.run(prepare(client.namenode))
    size = parse(state.manifest, "the manifest").data_bytes

    def data() -> Iterator[bytes]:
        offset = 0
        while offset < size:
            piece = client.run(read_piece(client.namenode, state.index, offset))
            offset += len(piece)
            yield piece

    manifest = write_backup(folder, state.manifest, data())
    if call.json:
        fields = {"path": str(folder), "index": manifest.index, "size": manifest.data_bytes}
        print(json_line(fields))
        return
    print(f"backup of record {manifest.index}, {manifest.data_bytes} bytes, checked: {folder}")

"""``minidfs cat``: the bytes of files, on stdout."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from cli.errors import Failures
from cli.files.operands import Source, expand
from cli.invocation import Invocation, common, invocation
from dfs.limits import MIB

COPY_BYTES = 4 * MIB


@click.command("cat")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@common
@invocation
def command(call: Invocation, paths: tuple[str, ...]) -> None:
    """Write files to stdout, one after the other."""
    failures = Failures(call)
    for operand in paths:
        with failures.collect():
            for source in expand(call, operand):
                copy_out(source, sys.stdout.buffer)
    failures.finish()


def copy_out(source: Source, output: BinaryIO) -> None:
    """Write a whole file to ``output``, piece by piece."""
    with source.fs.open(source.path, "rb") as file:
        while piece := file.read(COPY_BYTES):
            output.write(piece)
    output.flush()

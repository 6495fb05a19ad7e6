"""``minidfs admin rebuild``: a namenode that lost its folder, from what the datanodes hold."""

from __future__ import annotations

import click

from cli.cluster.programs import jobs_possible
from cli.invocation import TIME, Invocation, common, invocation
from dfs.limits import REBUILD_QUIET_NS
from dfs.local.layout import Home


@click.command("rebuild")
@click.option(
    "--nodes",
    type=click.IntRange(1),
    metavar="N",
    help="Begin as soon as N datanodes are there.",
)
@click.option(
    "--wait",
    "wait_ns",
    type=TIME,
    default=REBUILD_QUIET_NS,
    metavar="TIME",
    help="Else begin when no further datanode came for so long (10s).",
)
@click.option(
    "--from-chunks",
    is_flag=True,
    help="Last resort: make files of the chunks that are there, without any log.",
)
@common
@invocation
def command(call: Invocation, nodes: int | None, wait_ns: int, from_chunks: bool) -> None:
    """Make the folder of a lost namenode again; run it where the namenode ran.

    The datanodes must run. The copy of the log that reaches furthest is taken.
    """
    from dfs.namenode.apply import MODULE
    from dfs.namenode.module import Module
    from dfs.namenode.rebuild import RebuildOptions, rebuild
    from dfs.namenode.rebuilder import Wanted

    modules: tuple[Module, ...] = (MODULE,)
    if jobs_possible():
        from mapreduce.commands import MODULE as JOBS

        modules = (MODULE, JOBS)
    config = call.config()
    Home(call.home).make()
    wanted = Wanted(nodes or 0, wait_ns, from_chunks)
    print(rebuild(RebuildOptions(config, call.home, modules, wanted), call.say))

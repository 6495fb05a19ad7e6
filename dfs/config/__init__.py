"""``cluster.toml``: the one file that configures all processes of a cluster."""

from dfs.config.kinds import Reserve
from dfs.config.schema import (
    Cluster,
    Config,
    Datanode,
    Files,
    Namenode,
    Security,
    Times,
    Worker,
)
from dfs.config.text import parse, render

__all__ = [
    "Cluster",
    "Config",
    "Datanode",
    "Files",
    "Namenode",
    "Reserve",
    "Security",
    "Times",
    "Worker",
    "parse",
    "render",
]

"""A datanode that claims replicas it does not have: ``python -m benchmarks.fake_datanode``.

It is the core of a real one with a transport and no disk, so that a namenode can be given the
reports of a large cluster: ``HOME NODE CHUNKS`` registers NODE as a holder of chunks 1 to CHUNKS.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from benchmarks.big_namespace import CLUSTER
from dfs.config_file import load
from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.core import DatanodeCore, DatanodeSettings
from dfs.datanode.tasks import (
    MeasureSpace,
    Placed,
    SaveEpoch,
    Scan,
    SpaceMeasured,
    VolumeFound,
)
from dfs.endpoints import client_endpoints, host_id, make_socket_folder
from dfs.events import Peer, Role
from dfs.limits import CHUNK_DEFAULT_BYTES, GIB
from dfs.net.loop import Loop, read_clock
from dfs.net.pool import Pool
from dfs.net.step import PlainStep
from dfs.net.transport import ZmqTransport

SPACE = SpaceMeasured(1 << 62, 1 << 61)


def answer(work: object) -> object:
    """The result of disk work: there is room, and the epoch is kept in mind only."""
    assert isinstance(work, Placed), f"nobody asks for {work}"
    if isinstance(work.task, MeasureSpace):
        return SPACE
    assert isinstance(work.task, SaveEpoch), f"nobody can do {work.task} without a disk"
    return None


def run(home: Path, node: str, chunks: int) -> None:
    """Serve until killed."""
    config = load(home / "cluster.toml")
    own = f"ipc://{make_socket_folder(home)}/{node}.sock"
    transport = ZmqTransport(Peer(Role.DATANODE, node), CLUSTER, (own,))
    settings = DatanodeSettings(
        cluster=CLUSTER,
        node=node,
        host=host_id(),
        rack="default",
        endpoints=(own,),
        namenode_endpoints=client_endpoints(config, home),
    )
    replicas = [(ReplicaKey(chunk + 1, 1), CHUNK_DEFAULT_BYTES) for chunk in range(chunks)]
    found = [VolumeFound("no disk", Scan(replicas, [], chunks, 0, []), SPACE, GIB)]
    core = DatanodeCore(settings, found, read_clock())
    del replicas, found
    gc.collect()
    pool = Pool(answer, 1, transport.wake, "no disk")
    print("ready", flush=True)
    Loop(PlainStep(core), transport, pool, lambda text: print(text, flush=True)).run()


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

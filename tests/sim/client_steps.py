"""Something happens when a client has sent its n-th message: what the tests of steps share."""

from __future__ import annotations

from collections.abc import Callable

from dfs.client.client import Client
from dfs.events import Peer, Role, Send
from dfs.limits import KIB, SECOND_NS
from dfs.namenode.keys import ROOT, number_of
from dfs.testing.cluster import StorageCluster
from dfs.wire.namespace import RenewLease

CHUNK = 4 * KIB
ANNA = Peer(Role.CLIENT, "anna")
OLD = bytes(range(256)) * 36
"""In three chunks."""

OLD_INLINE = OLD[: CHUNK + 100]
"""In the namenode, and more than a chunk may hold."""


Write = Callable[[Client], object]


def new_content(size: int) -> bytes:
    return bytes(at % 241 for at in range(size))


def put(size: int) -> Write:
    """A put over an older file. ``open`` streams what ``write_bytes`` would send inline."""

    def write(client: Client) -> None:
        with client.open("/d/f", "wb", chunk_size=CHUNK, min_durable=2) as file:
            file.write(new_content(size))

    return write


def put_inline(client: Client) -> None:
    client.write_bytes("/d/f", new_content(100))


def append(size: int) -> Write:
    def write(client: Client) -> None:
        with client.open("/d/f", "ab", min_durable=2) as file:
            file.write(new_content(size))

    return write


WRITES: dict[str, tuple[bytes, Write, bytes]] = {
    "empty": (OLD, put(0), b""),
    "inline": (OLD, put_inline, new_content(100)),
    "half a chunk": (OLD, put(CHUNK // 2), new_content(CHUNK // 2)),
    "one chunk": (OLD, put(CHUNK), new_content(CHUNK)),
    "one and a half": (OLD, put(CHUNK * 3 // 2), new_content(CHUNK * 3 // 2)),
    "three chunks": (OLD, put(CHUNK * 3), new_content(CHUNK * 3)),
    "append": (OLD, append(CHUNK * 3 // 2), OLD + new_content(CHUNK * 3 // 2)),
    "append to inline": (OLD_INLINE, append(CHUNK * 2), OLD_INLINE + new_content(CHUNK * 2)),
}
"""What was there, how it is written, and what is there then."""


class Steps:
    """A cluster with an old file, and a client of which each message is counted from now on."""

    def __init__(self, old: bytes, seed: str, timeout_ns: int = 60 * SECOND_NS) -> None:
        self.cluster = StorageCluster(seed)
        self.world = self.cluster.world
        self.cluster.settle(2 * SECOND_NS)
        self.other = self.cluster.client("bob")
        self.other.write_bytes("/d/f", old, chunk_size=CHUNK)
        self.cluster.settle(SECOND_NS)
        self.connection = self.cluster.connect("anna", timeout_ns)
        self.notices: list[str] = []
        self.connection.namenode.on_wait = self.notices.append
        self.client = self.connection.client()
        assert self.client.exists("/d/f")  # from its first answer on it is patient
        self.sent = 0
        self.is_cut = False
        self._at: tuple[int, Callable[[], None]] | None = None
        self._send = self.world.network.send
        self.world.network.send = self._count  # type: ignore[method-assign]

    def at(self, step: int, happens: Callable[[], None]) -> None:
        """Let something happen right behind the client's message number ``step``."""
        self._at = (step, happens)

    @property
    def has_happened(self) -> bool:
        """Did the client get as far as that?"""
        return self._at is None

    def _count(self, sender: Peer, action: Send) -> None:
        if sender == ANNA:
            if self.is_cut:
                return
            if not isinstance(action.message, RenewLease):
                self.sent += 1
        self._send(sender, action)
        if sender == ANNA and self._at is not None and self.sent == self._at[0]:
            happens, self._at = self._at[1], None
            happens()

    def kill_client(self) -> None:
        """Nothing more leaves it; the process ends once this turn is over."""
        self.is_cut = True
        self.world.after(0, lambda: self.world.kill(self.world.nodes[ANNA]))

    def rows(self, table: str) -> int:
        return len(self.cluster.table.scan(table, b"\0", 100))

    def files(self) -> list[int]:
        """The inodes that are neither the root nor the one directory."""
        found = self.cluster.table.scan("inodes", b"\0", 100)
        return [number_of(key) for key, _ in found if number_of(key) > ROOT + 1]

    def chunk_files(self) -> list[str]:
        """Chunk files on all datanodes, unfinished ones too."""
        return sorted(
            f"{node.peer.name}/{name}"
            for node in self.cluster.datanodes
            for disk in self.cluster.disks_of(node)
            for name in disk.all_names()
            if name.startswith("chunks/") and name.endswith((".chunk", ".tmp"))
        )

"""The members of a cluster: whose key is whose.

The namenode has them in its log; it tells them to the nodes, which know the namenode's key from
their configuration. Whoever has a key that is not here is a stranger. ``version`` rises with each
change: who keeps what was once looked up asks again when it has risen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dfs.events import Peer

NOBODY = b""
"""A key that nobody has."""


class Members:
    """See the module's text."""

    def __init__(self, known: Iterable[tuple[bytes, Peer]] = ()) -> None:
        self.version = 0
        self._by_key: dict[bytes, Peer] = dict(known)

    def __iter__(self) -> Iterator[tuple[bytes, Peer]]:
        return iter(self._by_key.items())

    def find(self, key: bytes) -> Peer | None:
        """Whose key is this? None: a stranger's, or it was revoked."""
        return self._by_key.get(key)

    def keys_of(self, peer: Peer) -> list[bytes]:
        """The keys of a process or user."""
        return [key for key, whose in self._by_key.items() if whose == peer]

    def enrol(self, key: bytes, peer: Peer) -> None:
        """From now on this is the key of ``peer``."""
        self._by_key[key] = peer
        self.version += 1

    def revoke(self, key: bytes) -> None:
        """From now on this is nobody's key."""
        self._by_key.pop(key, None)
        self.version += 1

    def replace(self, known: Iterable[tuple[bytes, Peer]]) -> None:
        """These are all there are."""
        self._by_key = dict(known)
        self.version += 1

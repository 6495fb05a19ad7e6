"""What a datanode holds, in memory: sorted arrays, 25 bytes a replica.

``Replicas`` is the set of sealed replicas. ``Inventory`` adds the volumes and
the *news*: every change since the last chunk report, in numbered batches. A report is a
copy of the arrays as they were when it began, and each batch is kept as it was sent until
it is confirmed. So report and batches together are what the node holds, whatever gets
lost on the way. When the news outgrow their bound they are thrown away and a new report takes
their place.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import islice

from dfs.datanode.chunkfile import ReplicaKey
from dfs.datanode.volumes import Volumes
from dfs.limits import NEWS_BATCH_MAX_REPLICAS, NEWS_MAX
from dfs.wire.node import LostReplica, ReplicaId, ReplicaNews, StoredReplica

ROW_BYTES = 24


class Replicas:
    """Sealed replicas by (chunk, generation). Iteration order does not exist: see ``packed``."""

    def __init__(self, *volumes: Iterable[tuple[ReplicaKey, int]]) -> None:
        """The replicas with their lengths, those of each volume in its place."""
        found = sorted((*row, volume) for volume, rows in enumerate(volumes) for row in rows)
        self._chunks = array("Q", (key.chunk for key, _, _ in found))
        self._generations = array("Q", (key.generation for key, _, _ in found))
        self._lengths = array("Q", (length for _, length, _ in found))
        self._volumes = array("B", (volume for _, _, volume in found))
        self.used_bytes = sum(self._lengths)

    def __len__(self) -> int:
        return len(self._chunks)

    def length(self, key: ReplicaKey) -> int | None:
        """The length of a replica in bytes, None when it is not held."""
        at = self._place(key)
        return self._lengths[at] if self._is_at(at, key) else None

    def volume(self, key: ReplicaKey) -> int | None:
        """The volume that a replica lies on, None when it is not held."""
        at = self._place(key)
        return self._volumes[at] if self._is_at(at, key) else None

    def add(self, key: ReplicaKey, length: int, volume: int) -> None:
        """Hold a replica; one that is held already keeps its length and its place."""
        at = self._place(key)
        if self._is_at(at, key):
            return
        self._chunks.insert(at, key.chunk)
        self._generations.insert(at, key.generation)
        self._lengths.insert(at, length)
        self._volumes.insert(at, volume)
        self.used_bytes += length

    def remove(self, key: ReplicaKey) -> int | None:
        """Forget a replica; its length, None when it was not held."""
        at = self._place(key)
        if not self._is_at(at, key):
            return None
        del self._chunks[at]
        del self._generations[at]
        del self._volumes[at]
        length = self._lengths.pop(at)
        self.used_bytes -= length
        return length

    def behind(
        self, key: ReplicaKey, volume: int, limit: int
    ) -> tuple[list[ReplicaKey], ReplicaKey | None]:
        """The next replicas of a volume, and where to go on: so many rows are looked at."""
        at = self._place(ReplicaKey(key.chunk, key.generation + 1))
        end = min(at + limit, len(self))
        keys = [self._key(n) for n in range(at, end) if self._volumes[n] == volume]
        return keys, self._key(end - 1) if end < len(self) else None

    def packed(self) -> memoryview:
        """All rows as (chunk, generation, length), u64 big-endian, sorted."""
        rows = array("Q", bytes(ROW_BYTES * len(self)))
        rows[0::3] = self._chunks
        rows[1::3] = self._generations
        rows[2::3] = self._lengths
        if sys.byteorder == "little":
            rows.byteswap()
        return memoryview(rows).cast("B")

    def _key(self, at: int) -> ReplicaKey:
        return ReplicaKey(self._chunks[at], self._generations[at])

    def _place(self, key: ReplicaKey) -> int:
        at = bisect_left(self._chunks, key.chunk)
        while (
            at < len(self._chunks)
            and self._chunks[at] == key.chunk
            and self._generations[at] < key.generation
        ):
            at += 1
        return at

    def _is_at(self, at: int, key: ReplicaKey) -> bool:
        return at < len(self._chunks) and (self._chunks[at], self._generations[at]) == key


class Inventory:
    """The replicas of a node, its volumes, and what the namenode has yet to hear.

    ``sequence`` numbers the last news that were confirmed.
    """

    def __init__(self, replicas: Replicas, highest_chunk: int, volumes: Volumes) -> None:
        self.replicas = replicas
        self.highest_chunk = highest_chunk
        self.volumes = volumes
        self.quarantined = 0
        self.sequence = 0
        self.news_lost = False
        self._news: dict[ReplicaKey, StoredReplica | LostReplica] = {}
        self._sent: ReplicaNews | None = None

    # -- changes

    def stored(self, key: ReplicaKey, length: int, digest: bytes, volume: int) -> None:
        """A replica is durable."""
        self.replicas.add(key, length, volume)
        self.highest_chunk = max(self.highest_chunk, key.chunk)
        self._tell(key, StoredReplica(ReplicaId(*key, length), digest))

    def deleted(self, key: ReplicaKey) -> None:
        """A replica goes into the trash because the namenode said so."""
        length = self.replicas.remove(key)
        if length is not None:
            self._tell(key, LostReplica(ReplicaId(*key, length), "deleted"))

    def set_aside(self, key: ReplicaKey, reason: str) -> None:
        """A replica goes into quarantine: it is corrupt, or the namenode does not know it."""
        length = self.replicas.remove(key)
        if length is not None:
            self.quarantined += 1
            self._tell(key, LostReplica(ReplicaId(*key, length), reason))

    def missing(self, key: ReplicaKey) -> None:
        """A replica is not here, though it was expected; told even when it never was.

        Unless it is about to be told why it is gone.
        """
        length = self.replicas.remove(key) or 0
        if isinstance(self._news.get(key), LostReplica):
            return
        self._tell(key, LostReplica(ReplicaId(*key, length), "missing"))

    # -- what the namenode hears

    def begin_report(self) -> memoryview:
        """The rows of a full report. All news until now is in it."""
        self._news.clear()
        self._sent = None
        self.news_lost = False
        self.sequence = 0
        return self.replicas.packed()

    @property
    def has_news(self) -> bool:
        """Is there anything that the namenode has yet to confirm?"""
        return bool(self._news) or self._sent is not None

    def next_news(self) -> ReplicaNews:
        """The first batch that is not confirmed, maybe an empty one. It stays the same."""
        if self._sent is None:
            keys = list(islice(self._news, NEWS_BATCH_MAX_REPLICAS))
            batch = [self._news.pop(key) for key in keys]
            stored = tuple(x for x in batch if isinstance(x, StoredReplica))
            lost = tuple(x for x in batch if isinstance(x, LostReplica))
            self._sent = ReplicaNews(self.sequence + 1, stored, lost, bool(self._news))
        return self._sent

    def news_taken(self) -> None:
        """The namenode confirmed the batch that was sent."""
        assert self._sent is not None, "news are confirmed that were never sent"
        self.sequence = self._sent.sequence
        self._sent = None

    def _tell(self, key: ReplicaKey, news: StoredReplica | LostReplica) -> None:
        """Keep the latest word on a replica for the next batch."""
        self._news.pop(key, None)
        if len(self._news) >= NEWS_MAX:
            self._news.clear()
            self.news_lost = True
        if not self.news_lost:
            self._news[key] = news

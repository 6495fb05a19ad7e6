"""What a disk may make of a label, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from dfs.disk import Disk


def every_damage(good: bytes) -> Iterator[bytes]:
    """Each bit flipped, each length it may be cut to, zeros from each byte on, and more behind."""
    for at in range(len(good)):
        for bit in range(8):
            yield good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
        yield good[:at]
        yield good[:at] + bytes(len(good) - at)
    for more in (b"\0", b"\n", b"epoch 9\n", good):
        yield good + more
        yield more + good


def put(disk: Disk, name: str, content: bytes) -> None:
    """Give a file another content, behind the back of whoever uses it."""
    disk.unlink(name)
    file = disk.create(name)
    file.write_at(0, content)
    file.close()

"""A disk in memory that forgets what was not synced, so that durability is a unit test.

Each file has two contents: *live*, what reads see, and *durable*, what a crash leaves.
Names are the same: changes of names wait in a journal until their folder is synced.

* ``File.sync`` moves the writes made through any handle of the file into the durable content.
  A **failed** sync throws them away instead: the pages are clean afterwards, and a later
  sync that succeeds does not bring them back (Rebello et al., USENIX ATC 2020).
* ``sync_folder`` makes the changes of names in a folder durable, together with earlier
  changes of the same names. A rename within or between folders happens wholly or not at all.
* ``make_folder`` is durable at once, as ``dfs.disk`` promises.
* ``crash()`` keeps the durable part only: the worst case. ``crash(rng)`` keeps more, as a
  real machine may: the journal of names up to a random point, and of each unsynced write a
  random part, torn at sector borders. A preallocated or grown size that was not synced may
  survive without its bytes.
* Files opened before a crash are dead after it.
* ``halt`` ends the process inside a call, before or behind its effect: ``Halted`` goes through
  the process up to whoever runs it. Until the process is ``gone`` no call has an effect.

The same calls with the same ``rng`` leave the same disk.
"""

from __future__ import annotations

import errno
import os
import posixpath
from collections import Counter
from random import Random
from typing import TypeAlias

SECTOR_BYTES = 512
ANY_CALL = "*"


class Halted(BaseException):
    """The process that called the disk ended in that call; nothing of it may catch this."""


class _Node:
    """A file without its name."""

    __slots__ = ("durable", "linked", "live", "unsynced")

    def __init__(self) -> None:
        self.live = bytearray()
        self.durable = bytearray()
        self.unsynced: list[tuple[int, bytes | None]] = []
        self.linked = True

    def write(self, offset: int, data: bytes) -> None:
        _overwrite(self.live, offset, data)
        self.unsynced.append((offset, data))

    def resize(self, length: int) -> None:
        _resize(self.live, length)
        self.unsynced.append((length, None))

    def sync(self) -> None:
        for offset, data in self.unsynced:
            _apply(self.durable, offset, data)
        self.unsynced.clear()

    def crash(self, rng: Random | None) -> None:
        if rng is not None:
            for offset, data in self.unsynced:
                _apply_torn(self.durable, offset, data, rng)
        self.unsynced.clear()
        self.live = bytearray(self.durable)


_Change: TypeAlias = dict[str, _Node | None]


def _resize(content: bytearray, length: int) -> None:
    del content[length:]
    content.extend(bytes(length - len(content)))


def _overwrite(content: bytearray, offset: int, data: bytes) -> None:
    if offset > len(content):
        _resize(content, offset)
    content[offset : offset + len(data)] = data


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        _resize(content, offset)
    else:
        _overwrite(content, offset, data)


def _apply_torn(content: bytearray, offset: int, data: bytes | None, rng: Random) -> None:
    """Let a random part of an unsynced write or change of size reach the medium."""
    if data is None:
        if rng.random() < 0.5:
            _resize(content, offset)
        return
    if rng.random() < 0.5:
        return
    whole = rng.random() < 0.5
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES)
        if whole or rng.random() < 0.5:
            _overwrite(content, offset + start, data[start:end])
        start = end


class MemoryFile:
    """An open file of a ``MemoryDisk``; see ``dfs.disk.File``."""

    def __init__(self, disk: MemoryDisk, node: _Node, name: str, writable: bool) -> None:
        self._disk = disk
        self._node = node
        self._name = name
        self._writable = writable
        self._boot = disk.crashes
        self._open = True

    def read_at(self, offset: int, length: int) -> bytes:
        self._enter("read_at")
        return bytes(self._node.live[offset : offset + length])

    def write_at(self, offset: int, data: bytes | memoryview) -> None:
        self._enter("write_at", writing=True)
        self._disk.charge(self._node, offset + len(data))
        self._node.write(offset, bytes(data))

    def start_writeback(self, offset: int, length: int) -> None:
        self._enter("start_writeback")

    def truncate(self, length: int) -> None:
        self._enter("truncate", writing=True)
        self._disk.charge(self._node, length, shrink=True)
        self._node.resize(length)

    def sync(self) -> None:
        try:
            self._enter("sync")
        except OSError:
            self._node.unsynced.clear()
            raise
        self._node.sync()

    def size(self) -> int:
        self._enter("size")
        return len(self._node.live)

    def close(self) -> None:
        self._enter("close")
        self._open = False

    def _enter(self, call: str, *, writing: bool = False) -> None:
        if not self._open or self._boot != self._disk.crashes or (writing and not self._writable):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), self._name)
        self._disk.enter(call, self._name)


class MemoryDisk:
    """A ``dfs.disk.Disk`` in memory; see the module's text for what a crash leaves."""

    def __init__(self, capacity_bytes: int = 1 << 40) -> None:
        self.capacity_bytes = capacity_bytes
        self.used_bytes = 0
        self.crashes = 0
        self.calls: Counter[str] = Counter()
        self._folders: dict[str, None] = {"": None}
        self._live: dict[str, _Node] = {}
        self._durable: dict[str, _Node] = {}
        self._journal: list[_Change] = []
        self._failures: list[tuple[str, int, int]] = []
        self._halts: list[tuple[str, int, bool]] = []
        self._has_halted = False

    # -- the seam

    def make_folder(self, name: str) -> None:
        self.enter("make_folder", name)
        name = _clean(name)
        while name not in self._folders:
            if name in self._live:
                raise _error(errno.EEXIST, name)
            self._folders[name] = None
            name = posixpath.dirname(name)

    def names(self, folder: str) -> list[str]:
        self.enter("names", folder)
        folder = self._folder(folder)
        return sorted(posixpath.basename(n) for n in self._live if posixpath.dirname(n) == folder)

    def exists(self, name: str) -> bool:
        self.enter("exists", name)
        name = _clean(name)
        return name in self._live or name in self._folders

    def create(self, name: str, preallocate_bytes: int = 0) -> MemoryFile:
        self.enter("create", name)
        name = self._placed(name)
        if name in self._live or name in self._folders:
            raise _error(errno.EEXIST, name)
        node = _Node()
        self.charge(node, preallocate_bytes)
        if preallocate_bytes:
            node.resize(preallocate_bytes)
        self._change({name: node})
        return MemoryFile(self, node, name, writable=True)

    def open(self, name: str, *, write: bool = False) -> MemoryFile:
        self.enter("open", name)
        name = _clean(name)
        return MemoryFile(self, self._node(name), name, write)

    def rename(self, old: str, new: str) -> None:
        self.enter("rename", old)
        old, new = _clean(old), self._placed(new)
        node = self._node(old)
        if old != new:
            self._unlink_node(self._live.get(new))
            self._change({old: None, new: node})

    def unlink(self, name: str) -> None:
        self.enter("unlink", name)
        name = _clean(name)
        self._unlink_node(self._node(name))
        self._change({name: None})

    def sync_folder(self, folder: str) -> None:
        self.enter("sync_folder", folder)
        folder = self._folder(folder)
        names: dict[str, None] = {}
        durable: list[_Change] = []
        waiting: list[_Change] = []
        for change in reversed(self._journal):
            if any(posixpath.dirname(n) == folder or n in names for n in change):
                names.update(dict.fromkeys(change))
                durable.append(change)
            else:
                waiting.append(change)
        for change in reversed(durable):
            _rename_in(self._durable, change)
        self._journal = waiting[::-1]

    def space(self) -> tuple[int, int]:
        self.enter("space", "")
        return self.capacity_bytes, max(0, self.capacity_bytes - self.used_bytes)

    # -- faults

    def crash(self, rng: Random | None = None) -> None:
        """Lose power: only what was synced stays, with ``rng`` also a random part of the rest."""
        kept = rng.randint(0, len(self._journal)) if rng is not None else 0
        for change in self._journal[:kept]:
            _rename_in(self._durable, change)
        self._journal.clear()
        self._failures.clear()
        self.gone()
        self.crashes += 1
        self._live = dict(self._durable)
        for node in self._live.values():
            node.crash(rng)
            node.linked = True
        self.used_bytes = sum(len(node.live) for node in self._live.values())

    def fail(self, call: str, nth: int = 1, number: int = errno.EIO) -> None:
        """Let the ``nth`` call from now of this name (1 is the next; ``*``: of any) fail.

        ``number`` is the ``errno``. Calls are named like the methods of ``Disk`` and ``File``.
        """
        assert nth > 0, "calls are counted from 1"
        self._failures.append((call, self._count(call) + nth, number))

    def halt(self, call: str, nth: int = 1, *, behind: bool = False) -> None:
        """End the process in the ``nth`` call of this name, before or ``behind`` its effect."""
        assert nth > 0, "calls are counted from 1"
        self._halts.append((call, self._count(call) + nth, behind))

    def check_running(self) -> None:
        """Raise ``Halted`` if the process ended in a call; to be asked before it is heard again."""
        if self._has_halted:
            raise Halted

    def gone(self) -> None:
        """The process that used the disk is gone, and no other one is told to halt."""
        self._halts.clear()
        self._has_halted = False

    def spare(self) -> None:
        """No failure that was ordered and has not happened will happen any more."""
        self._failures.clear()
        self._halts.clear()

    def has_unsynced_writes(self, folder: str) -> bool:
        """Would a loss of power lose bytes of a file in this folder?"""
        inside = (node for name, node in self._live.items() if posixpath.dirname(name) == folder)
        return any(data is not None for node in inside for _, data in node.unsynced)

    def flip_bit(self, name: str, offset: int, bit: int = 0) -> None:
        """Damage a file silently, on the medium and in what is read."""
        node = self._node(_clean(name))
        for content in (node.live, node.durable):
            if offset < len(content):
                content[offset] ^= 1 << bit

    def content(self, name: str) -> bytes:
        """What a reader of the file would see; no call is counted."""
        return bytes(self._node(_clean(name)).live)

    def durable_content(self, name: str) -> bytes | None:
        """What of the file a loss of power is sure to leave; None: not even its name."""
        node = self._durable.get(_clean(name))
        return None if node is None else bytes(node.durable)

    def all_names(self) -> list[str]:
        """The files in every folder, sorted; no call is counted."""
        return sorted(self._live)

    # -- inside

    def enter(self, call: str, name: str) -> None:
        """Count a call, and raise the error or the end that was ordered for it."""
        self.check_running()
        self.calls[call] += 1
        for halt in self._halts:
            if halt[0] in (call, ANY_CALL) and self._count(halt[0]) == halt[1]:
                self._has_halted = True
                if not halt[2]:
                    raise Halted
        for failure in self._failures:
            if failure[0] in (call, ANY_CALL) and self._count(failure[0]) == failure[1]:
                self._failures.remove(failure)
                raise _error(failure[2], name)

    def charge(self, node: _Node, length: int, *, shrink: bool = False) -> None:
        """Account for a file that grows to ``length`` (with ``shrink``: becomes ``length``)."""
        if not node.linked:
            return
        grows = length - len(node.live)
        if grows < 0 and not shrink:
            return
        if grows > 0 and self.used_bytes + grows > self.capacity_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.used_bytes += grows

    def _count(self, call: str) -> int:
        return self.calls.total() if call == ANY_CALL else self.calls[call]

    def _node(self, name: str) -> _Node:
        node = self._live.get(name)
        if node is None:
            raise _error(errno.EISDIR if name in self._folders else errno.ENOENT, name)
        return node

    def _folder(self, name: str) -> str:
        name = _clean(name)
        if name not in self._folders:
            raise _error(errno.ENOTDIR if name in self._live else errno.ENOENT, name)
        return name

    def _placed(self, name: str) -> str:
        """A cleaned name whose folder exists."""
        name = _clean(name)
        self._folder(posixpath.dirname(name))
        return name

    def _change(self, change: _Change) -> None:
        _rename_in(self._live, change)
        self._journal.append(change)

    def _unlink_node(self, node: _Node | None) -> None:
        if node is not None:
            node.linked = False
            self.used_bytes -= len(node.live)


def _rename_in(names: dict[str, _Node], change: _Change) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def _clean(name: str) -> str:
    name = posixpath.normpath(name) if name else ""
    return "" if name == "." else name


def _error(number: int, name: str) -> OSError:
    return OSError(number, os.strerror(number), name)

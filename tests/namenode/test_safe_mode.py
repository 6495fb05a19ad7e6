"""Safe mode: what it waits for, how it ends, and what it holds back."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.errors import Unavailable
from dfs.limits import SECOND_NS
from dfs.namenode.safemode import READ_ONLY, SafeMode
from dfs.wire import namespace as m
from dfs.wire import node as n
from tests.namenode.test_replication import ALL, packed


@pytest.mark.parametrize(
    ("seconds", "silent", "missing", "is_on", "may_delete"),
    [
        (1, [], None, False, True),
        (29, ["a"], None, True, False),
        (29, ["a"], 0, True, False),
        (30, ["a"], 0, False, False),
        (30, ["a"], 3, True, False),
        (60, ["a"], 3, False, False),
        (60, ["a"], None, False, False),
        (659, ["a"], 0, False, False),
        (660, ["a"], 3, False, True),
    ],
)
def test_how_it_ends(
    seconds: int, silent: list[str], missing: int | None, is_on: bool, may_delete: bool
) -> None:
    safe = SafeMode(0)
    safe.update(silent, seconds * SECOND_NS, missing)
    assert (safe.is_on, safe.may_delete) == (is_on, may_delete)


def test_it_says_what_it_waits_for() -> None:
    safe = SafeMode(0)
    safe.update(["a", "b"], SECOND_NS)
    assert safe.text() == "safe mode: waiting for the reports of a, b"
    safe.update(["b"], 31 * SECOND_NS, 7, [3, 4, 5, 6, 7, 8, 9])
    assert safe.text().endswith("of b; 7 chunks have no replica yet (3, 4, 5, 6, 7, …)")
    safe.update(["b"], 32 * SECOND_NS, 1, [3])
    assert safe.text().endswith("of b; 1 chunk has no replica yet (3)")
    safe.update([], 33 * SECOND_NS)
    assert safe.text() == ""


def test_it_ends_when_every_chunk_has_a_replica(namenode: Any) -> None:
    """A node is away for good, and others have all that it had."""
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    namenode.advance(31)
    status = namenode.ask(m.GetStatus())
    assert status.safe_mode
    assert f"1 chunk has no replica yet ({chunk})" in "".join(status.reasons)
    namenode.join("datanode-1", replicas=packed((chunk, 1, 4096)))
    assert not namenode.ask(m.GetStatus()).safe_mode
    namenode.change(m.Remove, path="/f")
    namenode.advance(60, beating=("datanode-1",))
    assert namenode.orders(n.DeleteReplicas) == []
    namenode.join("datanode-2", "datanode-3")
    assert len(namenode.orders(n.DeleteReplicas)) == 1


def test_files_under_construction_do_not_hold_it_up(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/new")
    got = namenode.change(m.AddChunk, inode=created.inode, start=0)
    sealed = m.SealedChunk(got.chunk, 1, 0, 4096, b"d" * 16, ALL)
    namenode.change(m.AddChunk, inode=created.inode, start=4096, sealed=sealed)
    namenode.restart()
    namenode.join("datanode-1")
    namenode.advance(31, beating=("datanode-1",))
    assert not namenode.ask(m.GetStatus()).safe_mode


def test_switched_on_it_is_read_only(namenode: Any) -> None:
    namenode.join("datanode-4")
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    safe: SafeMode = namenode.core._safe
    safe.enter()
    status = namenode.ask(m.GetStatus())
    assert status.safe_mode
    assert READ_ONLY in status.reasons
    for cls, fields in (
        (m.Mkdir, {"path": "/d", "parents": False, "exist_ok": False}),
        (m.Remove, {"path": "/f"}),
    ):
        error = namenode.fails(Unavailable, cls, **fields)
        assert error.message == READ_ONLY
    assert namenode.ask(m.Locate("/f")).chunks[0].chunk == chunk
    lost = n.LostReplica(n.ReplicaId(chunk, 1, 4096), "corrupt")
    namenode.tell("datanode-1", n.ReplicaNews(2, lost=(lost,)))
    namenode.tell("datanode-2", n.ReplicaNews(2, lost=(lost,)))
    assert namenode.orders(n.CopyReplica) == []
    safe.leave()
    namenode.settle()
    assert len(namenode.orders(n.CopyReplica)) == 1
    namenode.change(m.Remove, path="/f")
    assert namenode.orders(n.DeleteReplicas) != []


def test_left_early_it_repairs_but_does_not_delete(namenode: Any) -> None:
    namenode.write("/f")
    chunk = namenode.ask(m.Locate("/f")).chunks[0].chunk
    namenode.restart()
    namenode.join("datanode-1", replicas=packed((chunk, 1, 4096)))
    namenode.join("datanode-2")
    namenode.core._safe.leave()
    namenode.advance(11, beating=("datanode-1", "datanode-2"))
    assert [s.to.name for s in namenode.orders(n.CopyReplica)] == ["datanode-2"]
    namenode.change(m.Remove, path="/f")
    assert namenode.orders(n.DeleteReplicas) == []

"""Before the verdict on the view: reads are answered, nothing is logged, nothing is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from dfs.errors import Corrupt, NotFound, StorageFault, Unavailable
from dfs.events import Origin, Received
from dfs.limits import SECOND_NS
from dfs.namenode.commands import NodeJoined
from dfs.namenode.keys import NodeRow, get_row
from dfs.namenode.safemode import CHECKING, SafeMode
from dfs.wire import admin as a
from dfs.wire import namespace as m
from dfs.wire import node as n
from dfs.wire.common import Ok
from tests.namenode.conftest import ANNA
from tests.namenode.test_replication import ALL, packed


def test_the_check_alone_keeps_safe_mode_on_and_says_so() -> None:
    safe = SafeMode(0, is_checking=True)
    safe.update([], 61 * SECOND_NS)
    assert (safe.is_on, safe.may_delete, safe.text()) == (True, False, CHECKING)
    safe.leave()
    assert (safe.is_on, safe.is_manual) == (True, False)
    safe.enter()
    safe.checked()
    assert (safe.is_on, safe.is_manual) == (True, True)
    safe.leave()
    assert (safe.is_on, safe.may_delete, safe.text()) == (False, True, "")


def test_reads_are_answered_and_changes_are_not_until_it_is_sound(namenode: Any) -> None:
    namenode.write("/f")
    namenode.write("/g")
    chunk = namenode.ask(m.Locate("/g")).chunks[0].chunk
    namenode.change(m.Create, path="/open")
    removal = m.Remove(namenode.session, namenode.sequence + 1, namenode.sequence + 1, "/f")
    event = Received(Origin(ANNA, 1, 7), removal)
    namenode._take(namenode.core.handle(namenode._view(), event, namenode.now))  # not reaped yet
    assert namenode.table.scan("reap", b"", 1)
    namenode.restart(is_checked=False)
    namenode.sent.clear()
    logged = len(namenode.log)
    namenode.join(*ALL, replicas=packed((chunk, 1, 4096)))
    namenode.advance(3600, beating=ALL)
    assert namenode.ask(m.Stat("/g")).entry.size == 4096
    assert len(namenode.ask(m.Locate("/g")).chunks) == 1
    assert namenode.names() == ["/g"]
    for peer_asks in (m.OpenSession(), m.CloseSession(namenode.session)):
        with pytest.raises(Unavailable, match="checking the metadata after an unclean stop"):
            namenode.ask(peer_asks)
    assert namenode.fails(Unavailable, m.Remove, path="/g").message == CHECKING
    assert namenode.sent == []
    assert namenode.log[logged:] == []
    assert namenode.ask(a.SetSafeMode("off")) == a.SafeModeIs(True, False, CHECKING)
    status = namenode.ask(m.GetStatus())
    assert (status.safe_mode, CHECKING in status.reasons) == (True, True)
    assert namenode.ask(a.GetReport()).safe_mode == CHECKING

    (note,) = namenode.conclude()
    assert note.text == "the metadata were checked after an unclean stop: they are sound"
    assert note.text in [h.text for h in namenode.ask(a.GetEvents()).happenings]
    assert not namenode.ask(m.GetStatus()).safe_mode
    assert namenode.table.scan("reap", b"", 1) == namenode.table.scan("leases", b"", 1) == []
    namenode.session = 0
    namenode.change(m.Remove, path="/g")
    assert namenode.orders(n.DeleteReplicas) != []


def test_nobodys_session_or_lease_ends_because_a_row_is_hidden(namenode: Any) -> None:
    created = namenode.change(m.Create, path="/open")
    session = namenode.session
    namenode.restart(is_checked=False)
    for _ in range(100):
        namenode.advance(10)
        assert namenode.ask(m.RenewLease(session)) == Ok()
    for hidden in (m.RenewLease(session, created.inode), m.RenewLease(session + 1000)):
        with pytest.raises(Unavailable, match="until that is done"):
            namenode.ask(hidden)
    namenode.conclude()
    namenode.join(*ALL)
    assert namenode.ask(m.RenewLease(session, created.inode)) == Ok()
    namenode.change(m.AddChunk, inode=created.inode, start=0)


def test_nodes_that_register_meanwhile_are_recorded_when_it_is_sound(namenode: Any) -> None:
    namenode.restart(is_checked=False)
    namenode.join("datanode-1", "datanode-9")
    assert namenode.log[-1] != NodeJoined("datanode-9", "host-of-datanode-9", "default")
    namenode.conclude()
    assert namenode.log[-1] == NodeJoined("datanode-9", "host-of-datanode-9", "default")
    assert get_row(namenode.table, "nodes", b"datanode-9", NodeRow) is not None


def test_a_node_that_knows_more_has_to_wait(namenode: Any) -> None:
    """To raise the epoch is to log, and what it is raised from may be hidden."""
    namenode.restart(is_checked=False)
    logged = len(namenode.log)
    with pytest.raises(Unavailable, match="checking the metadata"):
        namenode.join("datanode-1", highest=1 << 40)
    with pytest.raises(NotFound):
        namenode.tell("datanode-1", n.Heartbeat(1, 1, 1))
    assert len(namenode.log) == logged
    namenode.conclude()
    namenode.join("datanode-1", highest=1 << 40)
    assert len(namenode.log) > logged


def test_damage_or_no_verdict_end_the_process(namenode: Any) -> None:
    namenode.restart(is_checked=False)
    with pytest.raises(Corrupt, match=r"damaged \(page 7\): the next start makes it again"):
        namenode.conclude("page 7")
    with pytest.raises(StorageFault, match="killed"):
        namenode.conclude(error=StorageFault("the check was killed"))
    assert namenode.core.is_checking


@pytest.mark.damages_tables
def test_an_empty_view_is_not_formatted_before_the_verdict(lone_namenode: Any) -> None:
    """The root may be what is hidden."""
    formatted = lone_namenode.log[0]
    lone_namenode.table.delete("inodes", (1).to_bytes(8, "big"))
    lone_namenode.restart(is_checked=False)
    lone_namenode.advance(100)
    assert lone_namenode.log == [formatted]

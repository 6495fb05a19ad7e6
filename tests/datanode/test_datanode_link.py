"""The link to the namenode: registering, reports, heartbeats, news, epochs."""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.datanode import tasks
from dfs.datanode.chunkfile import ReplicaKey, sealed_path
from dfs.datanode.replicas import Inventory, Replicas
from dfs.datanode.volumes import Volumes
from dfs.errors import (
    BadArgument,
    Corrupt,
    NotFound,
    PermissionDenied,
    ProtocolError,
    Refused,
    Unavailable,
)
from dfs.events import LinkLost, Origin, Peer, Role, Send, WorkDone
from dfs.limits import (
    NEWS_BATCH_MAX_REPLICAS,
    NEWS_MAX,
    REPORT_PAGE_MAX_REPLICAS,
    REQUEST_TRY_NS,
    RETRY_PAUSE_MAX_NS,
    RETRY_PAUSE_NS,
    SECOND_NS,
)
from dfs.wire.common import Failed, Ok
from dfs.wire.node import (
    CheckReplica,
    DeleteReplicas,
    DiskRoom,
    Heartbeat,
    LostReplica,
    QuarantineReplicas,
    Register,
    Registered,
    ReplicaId,
    ReplicaNews,
    ReportPage,
    StoredReplica,
)
from tests.datanode.hand_driven import NAMENODE, RESERVE_BYTES, Node

KEY = ReplicaKey(5, 1)


@pytest.fixture
def node() -> Node:
    return Node()


def sent(node: Node) -> Send:
    """The one thing that the node sent."""
    (send,) = node.out
    node.out.clear()
    assert send.to == NAMENODE
    assert send.endpoints == ("nn",)
    return send


def answer(node: Node, send: Send, message: Any) -> None:
    node.receive(Origin(NAMENODE, 1, send.request), message)
    node.run_work()


def order(node: Node, message: Any, request: int = 900) -> list[Any]:
    """Give an order and hear what comes back at once."""
    node.receive(Origin(NAMENODE, 1, request), message)
    node.run_work()
    return node.said()


def on_disk(word: Any, room: int) -> Any:
    disks = (DiskRoom("/disk-0", room),)
    return msgspec.structs.replace(word, largest_free_bytes=room, disks=disks)


def test_a_node_registers_reports_and_beats(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.hold(ReplicaKey(3, 2), b"y" * 7)
    node.pass_time(0)
    register = sent(node)
    capacity, free = node.disk.space()
    room = free - RESERVE_BYTES
    me = Register(("ipc:///datanode-1",), "host", "rack", capacity, room, 107, 5, 0)
    assert register.message == on_disk(me, room)
    answer(node, register, Registered(4, SECOND_NS))
    page = sent(node)
    assert page.message == ReportPage(1, 0, True)
    assert bytes(page.payload) == struct.pack(">6Q", 3, 2, 7, 5, 1, 100)
    answer(node, page, Ok())
    news = sent(node)
    assert news.message == ReplicaNews(1)
    answer(node, news, Ok())
    assert node.out == []
    node.pass_time(3 * SECOND_NS)
    last = node.disk.space()[1] - RESERVE_BYTES
    first, later = (on_disk(Heartbeat(r, 107, capacity), r) for r in (room, last))
    assert node.said() == [first, later, later]


def test_an_empty_node_sends_one_empty_page(node: Node) -> None:
    assert node.register() == [ReportPage(1, 0, True)]


def test_a_long_report_comes_in_pages(node: Node) -> None:
    keys = [ReplicaKey(n, 1) for n in range(1, REPORT_PAGE_MAX_REPLICAS + 2)]
    node.boot(tasks.Scan([(key, 10) for key in keys], [], keys[-1].chunk, 0, []))
    assert node.register() == [ReportPage(1, 0, False), ReportPage(1, 1, True)]


def test_an_unanswered_registration_is_repeated_with_growing_pauses(node: Node) -> None:
    node.pass_time(0)
    asked = [node.now_ns]
    node.out.clear()
    while len(asked) < 8:
        node.now_ns = node.core.next_deadline()
        node.take(node.core.on_deadline(node.now))
        asked += [node.now_ns] * len(node.out)
        node.out.clear()
    pauses = [b - a - REQUEST_TRY_NS for a, b in pairwise(asked)]
    assert pauses[:3] == [RETRY_PAUSE_NS, 2 * RETRY_PAUSE_NS, 4 * RETRY_PAUSE_NS]
    assert pauses[-1] == RETRY_PAUSE_MAX_NS
    assert len(node.notes) == 1


@pytest.mark.parametrize("stage", ["registering", "reporting", "serving"])
def test_after_a_lost_link_it_registers_and_reports_again(node: Node, stage: str) -> None:
    node.hold(KEY, b"x")
    node.pass_time(0)
    send = sent(node)
    if stage != "registering":
        answer(node, send, Registered(1, SECOND_NS))
        send = sent(node)
    if stage == "serving":
        answer(node, send, Ok())
        assert sent(node).message == ReplicaNews(1)
    node.event(LinkLost(NAMENODE, 1, "killed"))
    answer(node, send, Ok())  # late, means nothing
    assert node.out == []
    node.pass_time(RETRY_PAUSE_NS)
    assert isinstance(node.out[0].message, Register)
    assert node.register() == [ReportPage(2 if stage != "registering" else 1, 0, True)]


def test_an_unknown_node_registers_again_after_its_heartbeat(node: Node) -> None:
    node.register(heartbeat_ns=SECOND_NS)
    node.pass_time(SECOND_NS)
    answer(node, sent(node), Failed.of(NotFound("register again")))
    node.pass_time(RETRY_PAUSE_NS)
    assert isinstance(sent(node).message, Register)


def test_a_refused_node_goes_on_asking(node: Node) -> None:
    node.pass_time(0)
    answer(node, sent(node), Failed.of(Refused("another cluster")))
    node.pass_time(RETRY_PAUSE_NS)
    assert isinstance(sent(node).message, Register)
    assert "another cluster" in node.notes[0]


def test_an_unanswered_page_begins_a_new_report(node: Node) -> None:
    node.pass_time(0)
    answer(node, sent(node), Registered(1, 10**15))
    assert sent(node).message.report == 1
    node.pass_time(REQUEST_TRY_NS)
    assert sent(node).message == ReportPage(2, 0, True)


def test_a_refused_page_begins_a_new_report(node: Node) -> None:
    node.pass_time(0)
    answer(node, sent(node), Registered(1, 10**15))
    answer(node, sent(node), Failed.of(ProtocolError("out of order")))
    node.pass_time(RETRY_PAUSE_NS)
    assert sent(node).message == ReportPage(2, 0, True)


def test_the_highest_epoch_is_kept_over_a_restart(node: Node) -> None:
    node.register(epoch=7)
    node.disk.crash()
    node.boot()
    node.pass_time(0)
    register = sent(node)
    assert register.message.epoch == 7
    answer(node, register, Registered(6, SECOND_NS))
    assert node.out == []
    assert "restored from an older copy" in node.notes[-1]


def test_an_epoch_that_cannot_be_saved_is_not_obeyed(node: Node) -> None:
    node.pass_time(0)
    node.disk.fail("sync")
    answer(node, sent(node), Registered(7, SECOND_NS))
    assert node.out == []
    node.pass_time(RETRY_PAUSE_NS)
    assert sent(node).message.epoch == 0


def test_orders_of_other_epochs_and_of_others_are_refused(node: Node) -> None:
    delete = DeleteReplicas(2, ())
    assert isinstance(order(node, delete)[0].error(), Unavailable)  # not registered
    node.register(epoch=2)
    assert order(node, delete) == [Ok()]
    assert isinstance(order(node, DeleteReplicas(1, ()))[0].error(), Refused)
    assert isinstance(order(node, DeleteReplicas(3, ()))[0].error(), Unavailable)
    node.receive(Origin(Peer(Role.CLIENT, "eve"), 3, 1), delete)
    assert isinstance(node.said()[0].error(), PermissionDenied)


def test_a_bad_replica_is_news_until_the_namenode_confirms_it(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.register()
    node.disk.flip_bit(sealed_path(KEY), 4100)
    replica = ReplicaId(*KEY, 0)
    lost = ReplicaNews(2, lost=(LostReplica(ReplicaId(*KEY, 100), "corrupt"),))
    node.receive(Origin(NAMENODE, 1, 900), CheckReplica(1, replica))
    node.run_work()
    checked, news = node.out
    assert checked.message == Ok()
    assert news.message == lost
    assert len(node.disk.names("quarantine")) == 1
    node.out.clear()
    node.pass_time(REQUEST_TRY_NS)
    again = sent(node)
    assert again.message == lost
    answer(node, again, Ok())
    node.pass_time(10 * REQUEST_TRY_NS)
    assert node.out == []


def test_news_that_the_namenode_refuses_make_way_for_a_new_report(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.register()
    node.disk.unlink(sealed_path(KEY))
    node.receive(Origin(NAMENODE, 1, 900), CheckReplica(1, ReplicaId(*KEY, 0)))
    node.run_work()
    news = node.out[-1]
    lost = LostReplica(ReplicaId(*KEY, 100), "missing")
    assert news.message == ReplicaNews(2, lost=(lost,))
    node.out.clear()
    answer(node, news, Failed.of(ProtocolError("a gap")))
    assert node.notes[-1] == "what this node holds was not taken: a gap"
    node.pass_time(RETRY_PAUSE_NS)
    page = sent(node)
    assert page.message == ReportPage(2, 0, True)
    answer(node, page, Ok())
    assert sent(node).message == ReplicaNews(1)


def test_what_changes_during_a_report_is_told_behind_it(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.pass_time(0)
    answer(node, sent(node), Registered(1, 10**15))
    page = sent(node)
    assert order(node, DeleteReplicas(1, (ReplicaId(*KEY, 100),))) == [Ok()]
    answer(node, page, Ok())
    lost = LostReplica(ReplicaId(*KEY, 100), "deleted")
    assert sent(node).message == ReplicaNews(1, lost=(lost,))


def test_a_namenode_that_lived_on_hears_only_what_changed(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.register(incarnation=77)
    node.receive(Origin(NAMENODE, 1, 900), CheckReplica(1, ReplicaId(*KEY, 100)))
    node.event(LinkLost(NAMENODE, 1, "broken"))
    node.core.handle(WorkDone(node.work.popleft().token, error=Corrupt("bad")), node.now)
    node.pass_time(RETRY_PAUSE_NS)
    register = sent(node)
    assert (register.message.incarnation, register.message.sequence) == (77, 1)
    answer(node, register, Registered(1, SECOND_NS, 77, full=False))
    news = sent(node)
    lost = LostReplica(ReplicaId(*KEY, 100), "corrupt")
    assert news.message == ReplicaNews(2, lost=(lost,))
    node.event(LinkLost(NAMENODE, 1, "broken"))
    node.pass_time(RETRY_PAUSE_NS)
    answer(node, sent(node), Registered(1, SECOND_NS, 77, full=False))
    assert sent(node).message == news.message  # as it was, since it may have been taken


def test_a_namenode_that_asks_for_all_gets_all(node: Node) -> None:
    node.register(incarnation=77)
    node.event(LinkLost(NAMENODE, 1, "broken"))
    node.pass_time(RETRY_PAUSE_NS)
    answer(node, sent(node), Registered(1, SECOND_NS, 78, full=True))
    assert sent(node).message == ReportPage(2, 0, True)


def test_a_check_compares_with_the_digest_of_the_namenode(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.register()
    order(node, CheckReplica(1, ReplicaId(*KEY, 0), b"d" * 16))
    assert len(node.disk.names("quarantine")) == 1


def test_a_check_of_what_is_not_here_is_news(node: Node) -> None:
    node.register()
    checked, news = order(node, CheckReplica(1, ReplicaId(*KEY, 0)))
    lost = LostReplica(ReplicaId(*KEY, 0), "missing")
    assert (checked, news) == (Ok(), ReplicaNews(2, lost=(lost,)))
    (bad,) = order(node, CheckReplica(1, ReplicaId(-1, 1, 0)))
    assert isinstance(bad.error(), BadArgument)


def test_replicas_of_a_later_history_are_set_aside(node: Node) -> None:
    node.hold(KEY, b"x" * 100)
    node.register()
    strangers = (ReplicaId(*KEY, 0), ReplicaId(9, 1, 0))
    done, news = order(node, QuarantineReplicas(1, strangers))
    lost = LostReplica(ReplicaId(*KEY, 100), "quarantined")
    assert (done, news) == (Ok(), ReplicaNews(2, lost=(lost,)))
    assert len(node.disk.names("quarantine")) == 1
    node.boot()
    node.pass_time(0)
    register = sent(node).message
    assert (register.quarantined, register.highest_chunk) == (1, KEY.chunk)


def test_an_order_to_set_nonsense_aside_is_refused(node: Node) -> None:
    node.register()
    (bad,) = order(node, QuarantineReplicas(1, (ReplicaId(-1, 1, 0),)))
    assert isinstance(bad.error(), BadArgument)


rows = st.lists(
    st.tuples(
        st.builds(ReplicaKey, st.integers(1, 9), st.integers(0, 3)),
        st.booleans(),
        st.integers(1, 99),
    )
)


@given(rows)
def test_the_arrays_behave_like_a_dict(changes: list[tuple[ReplicaKey, bool, int]]) -> None:
    replicas, model = Replicas(), dict[ReplicaKey, int]()
    for key, adding, length in changes:
        if adding:
            replicas.add(key, length, length % 3)
            model.setdefault(key, length)
        else:
            assert replicas.remove(key) == model.pop(key, None)
        assert replicas.length(key) == model.get(key)
        assert replicas.volume(key) == (model[key] % 3 if key in model else None)
    flat = [number for key, length in sorted(model.items()) for number in (*key, length)]
    assert bytes(replicas.packed()) == struct.pack(f">{len(flat)}Q", *flat)
    assert bytes(Replicas(model.items()).packed()) == bytes(replicas.packed())
    assert (len(replicas), replicas.used_bytes) == (len(model), sum(model.values()))


def told(inventory: Inventory) -> ReplicaNews:
    news = inventory.next_news()
    inventory.news_taken()
    return news


def test_too_much_news_make_way_for_a_new_report() -> None:
    keys = [ReplicaKey(n, 1) for n in range(1, NEWS_MAX + 3)]
    inventory = Inventory(Replicas((key, 1) for key in keys), 0, Volumes([]))
    inventory.begin_report()
    for key in keys:
        inventory.missing(key)
    assert inventory.news_lost
    assert not inventory.has_news
    assert inventory.begin_report() == b""
    assert not inventory.news_lost


def test_a_lost_replica_is_told_once() -> None:
    inventory = Inventory(Replicas([(KEY, 1)]), 5, Volumes([]))
    inventory.set_aside(KEY, "corrupt")
    inventory.set_aside(KEY, "corrupt")
    assert told(inventory) == ReplicaNews(1, lost=(LostReplica(ReplicaId(*KEY, 1), "corrupt"),))
    assert not inventory.has_news


def test_only_the_last_word_on_a_replica_is_told() -> None:
    inventory = Inventory(Replicas(), 5, Volumes([]))
    inventory.stored(KEY, 1, b"d", 0)
    inventory.deleted(KEY)
    inventory.stored(KEY, 1, b"d", 0)
    assert told(inventory) == ReplicaNews(1, (StoredReplica(ReplicaId(*KEY, 1), b"d"),))


def test_news_go_in_batches() -> None:
    inventory = Inventory(Replicas(), 5, Volumes([]))
    for number in range(1, NEWS_BATCH_MAX_REPLICAS + 2):
        inventory.stored(ReplicaKey(number, 1), 1, b"d", 0)
    first, second = told(inventory), told(inventory)
    assert (first.sequence, len(first.stored), first.more) == (1, NEWS_BATCH_MAX_REPLICAS, True)
    assert (second.sequence, len(second.stored), second.more) == (2, 1, False)

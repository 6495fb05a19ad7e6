"""Which datanodes keep the log, what they are sent, and from when on it counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dfs.config.schema import Times
from dfs.errors import OlderMetadata, StorageFault
from dfs.events import LinkLost, Note, Now, Origin, Peer, Received, Role, Send
from dfs.limits import (
    KEEPER_LOOK_NS,
    KEEPER_PAUSE_MAX_NS,
    KEEPER_TRY_NS,
    LOG_PIECES_IN_FLIGHT,
    SECOND_NS,
)
from dfs.log_format import read_record
from dfs.namenode import commands as c
from dfs.namenode.apply import MODULE
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.keepers import FIRST_REQUEST, Keepers
from dfs.namenode.keys import EPOCH, put_number
from dfs.namenode.log import Log
from dfs.namenode.module import LogCopies
from dfs.namenode.nodes import Introduction, Nodes
from dfs.namenode.table import MemoryTable
from dfs.testing.disk import MemoryDisk
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from dfs.wire.keeper import AppendLog, BeginLog, GetKeptLog, KeptLog, LogKept
from dfs.wire.namespace import NodeAddress
from tests.metadata.counting import CLUSTER, MODULES, Set, open_log

HERE = "alpha:boot-1"
BETA, GAMMA, DELTA = "datanode-2", "datanode-3", "datanode-4"
HOSTS = {"datanode-1": HERE, BETA: "beta:boot-7", GAMMA: "gamma:boot-3", DELTA: "delta:boot-9"}


class Stage:
    """Keepers of a log in memory, and datanodes that are played by hand."""

    def __init__(self, *nodes: str, min_durable: int | None = None) -> None:
        self.now_ns = SECOND_NS
        self.table = MemoryTable(MODULE.tables)
        put_number(self.table, EPOCH, 3)
        self.nodes = Nodes(Times(), ())
        self.log = open_log(MemoryDisk())
        for node in nodes:
            self.join(node)
        self.keepers = Keepers(HERE, min_durable, self.nodes, self.table, self.log)
        self.sent: list[Send] = []
        self.notes: list[str] = []

    @property
    def now(self) -> Now:
        return Now(self.now_ns, 0)

    def join(self, node: str, host: str = "") -> None:
        host = host or HOSTS[node]
        MODULE.apply(self.table, 1, c.NodeJoined(node, host, "rack"))
        address = NodeAddress(node, ("ipc:///x",), host)
        self.nodes.register(Introduction(address, 1, 1), self.now_ns)

    def write(self, count: int = 1) -> None:
        """So many records, synced."""
        for _ in range(count):
            self.log.append([Set(b"w%d" % self.log.next_index, 1)])
        self.log.sync()

    def run(self) -> list[Send]:
        """A step: what is sent now."""
        actions = self.keepers.synced(self.now)
        while (due := self.keepers.next_deadline()) is not None and due <= self.now_ns:
            actions += self.keepers.on_deadline(self.now) + self.keepers.synced(self.now)
        return self._take(actions)

    def wait(self, duration_ns: int) -> list[Send]:
        self.now_ns += duration_ns
        for node in self.nodes.known():
            self.nodes.heartbeat(node, 1, 1, self.now_ns)
        return self.run()

    def answer(self, send: Send, message: Message) -> list[Send]:
        event = Received(Origin(send.to, 1, send.request), message)
        assert self.keepers.takes(event)
        return self._take(self.keepers.handle(event, self.now)) + self.run()

    def lose(self, node: str) -> None:
        event = LinkLost(Peer(Role.DATANODE, node), 1, "it broke")
        assert self.keepers.takes(event)
        self._take(self.keepers.handle(event, self.now))

    def _take(self, actions: Sequence[object]) -> list[Send]:
        self.notes += [a.text for a in actions if isinstance(a, Note)]
        sent = [a for a in actions if isinstance(a, Send)]
        self.sent += sent
        return sent

    def bring_in_step(self, node: str) -> None:
        """Play a node that holds nothing until it has everything."""
        ask = next(s for s in reversed(self.sent) if s.to.name == node)
        assert isinstance(ask.message, GetKeptLog)
        (begin,) = self.answer(ask, KeptLog(0, 0, 0, 0))
        assert isinstance(begin.message, BeginLog)
        pieces = self.answer(begin, LogKept(begin.message.first - 1))
        for piece in pieces:
            self.answer(piece, LogKept(last_in(piece)))


def last_in(send: Send) -> int:
    """The last record in a piece."""
    assert isinstance(send.message, AppendLog)
    last, at, data = send.message.first - 1, 0, bytes(send.payload)
    while at < len(data):
        record = read_record(data, at)
        assert record is not None
        at, last = record.end, record.index
    return last


def checksum_of(log: Log, index: int) -> int:
    record = read_record(log.raw(index, 1)[0], 0)
    assert record is not None
    return record.checksum


def test_on_one_machine_nothing_happens() -> None:
    stage = Stage("datanode-1")
    stage.join("datanode-9", "alpha:boot-0")  # its row is of the time before the machine started
    stage.write(3)
    assert stage.run() == []
    assert stage.wait(KEEPER_LOOK_NS) == []
    assert stage.keepers.copies == LogCopies(1, 1)
    assert stage.keepers.agreed_index == 3


@pytest.mark.parametrize(
    ("min_durable", "nodes", "wanted"),
    [(None, 2, 2), (1, 3, 1), (2, 3, 2), (3, 2, 2), (3, 3, 3), (9, 4, 3)],
)
def test_how_many_machines_are_wanted(min_durable: int | None, nodes: int, wanted: int) -> None:
    stage = Stage(*list(HOSTS)[:nodes], min_durable=min_durable)
    stage.run()
    assert stage.keepers.copies.wanted == wanted


def test_two_nodes_on_different_other_machines_are_asked() -> None:
    stage = Stage(*HOSTS)
    stage.join("datanode-5", "beta:boot-7")
    assert [(s.to.name, s.message) for s in stage.run()] == [
        (BETA, GetKeptLog()),
        (GAMMA, GetKeptLog()),
    ]
    assert all(s.request >= FIRST_REQUEST for s in stage.sent)
    assert stage.keepers.copies == LogCopies(2, 1)
    assert stage.keepers.copies.shortage.startswith("the log is kept on 1 of 2 machines: ")


def test_a_keeper_that_holds_nothing_gets_everything_and_then_counts() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (begin,) = stage.answer(ask, KeptLog(0, 0, 0, 0))
    assert begin.message == BeginLog(3, 1, 0)
    (piece,) = stage.answer(begin, LogKept(0))
    assert piece.message == AppendLog(3, 1, True)
    assert piece.payload == stage.log.raw(1, 1 << 20)[0]
    assert stage.keepers.agreed_index == 0
    assert stage.answer(piece, LogKept(5)) == []
    assert stage.keepers.agreed_index == 5
    assert stage.keepers.copies == LogCopies(2, 2)
    assert stage.notes == [f"{BETA} keeps the log, up to record 5"]


def test_each_batch_is_sent_once_and_counts_when_it_is_confirmed() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    stage.write(2)
    (first,) = stage.run()
    stage.write()
    (second,) = stage.run()
    assert (first.message, second.message) == (AppendLog(3, 2, True), AppendLog(3, 4, True))
    assert stage.keepers.agreed_index == 1
    stage.answer(first, LogKept(3))
    assert stage.keepers.agreed_index == 3
    stage.answer(second, LogKept(4))
    assert stage.keepers.agreed_index == 4
    assert stage.run() == []


def test_unanswered_pieces_are_bounded() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    sent = []
    for _ in range(LOG_PIECES_IN_FLIGHT + 5):
        stage.write()
        sent += stage.run()
    assert len(sent) == LOG_PIECES_IN_FLIGHT
    (rest,) = stage.answer(sent[0], LogKept(2))
    assert (rest.message, last_in(rest)) == (
        AppendLog(3, LOG_PIECES_IN_FLIGHT + 2, True),
        LOG_PIECES_IN_FLIGHT + 6,
    )


def test_a_keeper_goes_on_behind_its_end_if_that_is_ours() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (piece,) = stage.answer(ask, KeptLog(3, 1, 3, checksum_of(stage.log, 3)))
    assert piece.message == AppendLog(3, 4, True)


def test_a_keeper_that_has_all_confirms_it_with_an_empty_piece() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (piece,) = stage.answer(ask, KeptLog(3, 1, 5, checksum_of(stage.log, 5)))
    assert (piece.message, piece.payload) == (AppendLog(3, 6, True), b"")
    stage.answer(piece, LogKept(5))
    assert stage.keepers.agreed_index == 5


@pytest.mark.parametrize("last", [3, 6])
def test_a_keeper_of_an_older_epoch_begins_anew(last: int) -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    (begin,) = stage.answer(ask, KeptLog(2, 1, last, 12345))
    assert begin.message == BeginLog(3, 1, 0)


@pytest.mark.parametrize("epoch", [3, 4])
@pytest.mark.parametrize("last", [3, 6])
def test_a_keeper_that_has_what_this_log_lacks_is_never_written_over(epoch: int, last: int) -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(5)
    (ask,) = stage.run()
    with pytest.raises(OlderMetadata) as caught:
        stage.answer(ask, KeptLog(epoch, 1, last, 12345))
    text = caught.value.message
    assert f"ends with record 5 of epoch 3, and {BETA} keeps one to record {last}" in text
    assert "'minidfs admin rebuild'" in text


def test_a_keeper_whose_end_was_cut_off_here_begins_anew() -> None:
    """Nobody can tell any more; but it has no more than what was cut, which has a snapshot."""
    stage = Stage("datanode-1", BETA)
    stage.log = Log.begin(MemoryDisk(), CommandCodec(MODULES), CLUSTER, 10)
    stage.keepers = Keepers(HERE, None, stage.nodes, stage.table, stage.log)
    stage.write(5)
    (ask,) = stage.run()
    (begin,) = stage.answer(ask, KeptLog(3, 1, 7, 12345))
    assert isinstance(begin.message, BeginLog)


FAULTS: dict[str, Callable[[Stage, Send], object]] = {
    "link lost": lambda stage, piece: stage.lose(BETA),
    "silent": lambda stage, piece: stage.wait(KEEPER_TRY_NS),
    "refused": lambda stage, piece: stage.answer(piece, Failed(11, "not registered")),
    "kept less": lambda stage, piece: stage.answer(piece, LogKept(1)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_keeper_that_fails_does_not_count_until_it_is_in_step_again(fault: str) -> None:
    stage = Stage("datanode-1", BETA)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    stage.write()
    (piece,) = stage.run()
    FAULTS[fault](stage, piece)
    assert stage.keepers.copies == LogCopies(2, 1)
    assert stage.keepers.agreed_index == 1  # what it had confirmed stays so
    assert len(stage.notes) == 2
    assert "does not keep the log: " in stage.notes[1]
    asked = stage.wait(KEEPER_PAUSE_MAX_NS)
    assert [s.message for s in asked] == [GetKeptLog()]
    stage.answer(piece, LogKept(2))  # too late
    assert stage.keepers.agreed_index == 1
    (rest,) = stage.answer(asked[0], KeptLog(3, 1, 1, checksum_of(stage.log, 1)))
    stage.answer(rest, LogKept(2))
    assert stage.keepers.agreed_index == 2


def test_one_of_two_keepers_is_enough_and_a_dead_one_is_replaced() -> None:
    stage = Stage(*HOSTS)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    stage.bring_in_step(GAMMA)
    stage.lose(BETA)
    assert stage.keepers.copies == LogCopies(2, 2)
    stage.write()
    pieces = [s for s in stage.run() if s.to.name == GAMMA]
    stage.answer(pieces[0], LogKept(2))
    assert stage.keepers.agreed_index == 2
    stage.now_ns += 60 * SECOND_NS
    for node in ("datanode-1", GAMMA, DELTA):
        stage.nodes.heartbeat(node, 1, 1, stage.now_ns)
    assert {s.to.name for s in stage.run()} == {DELTA}


def test_a_keeper_whose_disk_failed_makes_way_for_another() -> None:
    stage = Stage(*HOSTS)
    stage.write()
    first, _ = stage.run()
    broken = StorageFault("keeping the log failed earlier")
    asked = stage.answer(first, Failed.of(broken))
    assert {s.to.name for s in asked} == {DELTA}
    only = Stage("datanode-1", BETA)
    only.write()
    (ask,) = only.run()
    only.answer(ask, Failed.of(broken))
    assert {s.to.name for s in only.wait(KEEPER_PAUSE_MAX_NS)} == {BETA}  # there is no other


def test_with_three_wanted_both_keepers_must_have_it() -> None:
    stage = Stage(*HOSTS, min_durable=3)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    assert stage.keepers.agreed_index == 0
    stage.bring_in_step(GAMMA)
    assert stage.keepers.agreed_index == 1


def test_what_it_takes_and_what_it_leaves_to_the_core() -> None:
    stage = Stage("datanode-1", BETA)
    node, client = Peer(Role.DATANODE, BETA), Peer(Role.CLIENT, "anna")
    order = Received(Origin(node, 1, 7), Failed(11, "an order failed"))
    assert not stage.keepers.takes(order)
    assert not stage.keepers.takes(Received(Origin(client, 1, 7), LogKept(5)))
    assert not stage.keepers.takes(LinkLost(client, 1, "gone"))
    stray = Received(Origin(Peer(Role.DATANODE, "datanode-8"), 1, 7), LogKept(5))
    assert stage.keepers.takes(stray)
    assert stage.keepers.handle(stray, stage.now) == []


def test_when_the_epoch_is_raised_a_keeper_counts_when_it_has_all_again() -> None:
    stage = Stage("datanode-1", BETA)
    stage.write(3)
    stage.run()
    stage.bring_in_step(BETA)
    assert stage.keepers.copies == LogCopies(2, 2)
    put_number(stage.table, EPOCH, 4)
    stage.write(2)
    assert stage.run() == []
    assert stage.keepers.copies == LogCopies(2, 1)
    (ask,) = stage.wait(KEEPER_PAUSE_MAX_NS)
    assert stage.keepers.agreed_index == 3
    (records,) = stage.answer(ask, KeptLog(3, 1, 3, checksum_of(stage.log, 3)))
    assert records.message == AppendLog(4, 4, True)
    stage.answer(records, LogKept(5))
    assert stage.keepers.copies == LogCopies(2, 2)
    assert stage.keepers.agreed_index == 5

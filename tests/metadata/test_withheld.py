"""What waits until the log is on other machines too, and what does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dfs.errors import NotFound, Unavailable
from dfs.events import (
    Action,
    Decision,
    Event,
    Hangup,
    LinkLost,
    Note,
    Now,
    Origin,
    Peer,
    Received,
    Reply,
    Role,
    Send,
)
from dfs.limits import WITHHELD_MAX_ACTIONS
from dfs.namenode.journal import open_journal
from dfs.namenode.module import ALONE, LogCopies, View
from dfs.net.step import JournalStep
from dfs.net.withheld import CROWDED, Withheld, is_question
from dfs.testing.disk import MemoryDisk
from dfs.wire.common import Failed, Ok, Ping
from dfs.wire.namespace import Entry, Found, GetStatus, Mkdir, Stat, Status
from dfs.wire.node import CheckReplica, DeleteReplicas, ReplicaId
from tests.metadata.counting import CLUSTER, MODULES, NOW, SEGMENT_BYTES, Set, new_table

ANNA = Origin(Peer(Role.CLIENT, "anna"), 1, 1)
WORKER = Origin(Peer(Role.WORKER, "worker-1"), 2, 1)
NODE = Origin(Peer(Role.DATANODE, "datanode-1"), 3, 1)
REPLICA = ReplicaId(1, 1, 1)
SHORT = LogCopies(2, 1)
ENTRY = Entry("/a", False, 0, 0, 3, 1 << 20, "anna", "users", 0o644, 7)

WAITS: list[Action] = [
    Reply(ANNA, Ok()),
    Reply(ANNA, Failed.of(NotFound("no such file"))),
    Reply(WORKER, Ok()),
    Send(WORKER.peer, Ping()),
    Send(NODE.peer, DeleteReplicas(1, (REPLICA,))),
]
PASSES: list[Action] = [
    Reply(NODE, Ok()),
    Reply(NODE, Failed.of(NotFound("register again"))),
    Reply(ANNA, Status("c", "degraded", (), ())),
    Reply(ANNA, Failed.of(Unavailable("later"))),
    Send(NODE.peer, CheckReplica(1, REPLICA)),
    Note("a line"),
    Hangup(NODE.peer),
]


@pytest.mark.parametrize("action", WAITS, ids=repr)
def test_what_could_tell_of_a_record_waits_for_it(action: Action) -> None:
    withheld = Withheld()
    assert withheld.hold(7, [action]) == []
    assert withheld.release(6) == []
    assert withheld.release(7) == [action]
    assert len(withheld) == 0


@pytest.mark.parametrize("action", PASSES, ids=repr)
def test_what_tells_nothing_of_the_log_passes(action: Action) -> None:
    withheld = Withheld()
    assert withheld.hold(7, [action]) == [action]
    assert len(withheld) == 0


def test_answers_leave_in_the_order_of_their_records() -> None:
    withheld = Withheld()
    replies: list[Action] = [Reply(Origin(ANNA.peer, 1, n), Ok()) for n in range(4)]
    withheld.hold(1, replies[:1])
    withheld.hold(2, replies[1:3])
    withheld.hold(4, replies[3:])
    assert withheld.release(2) == replies[:3]
    assert withheld.release(9) == replies[3:]


def test_questions_wait_for_their_records_only_while_machines_are_there() -> None:
    withheld = Withheld()
    change: list[Action] = [Reply(ANNA, Ok())]
    answer: list[Action] = [Reply(Origin(ANNA.peer, 1, 2), Found(ENTRY))]
    withheld.hold(1, change)
    withheld.hold(1, answer, of_question=True)
    assert withheld.release(0, LogCopies(2, 2)) == []
    assert withheld.release(0, SHORT) == answer
    assert withheld.release(0, SHORT) == []
    assert withheld.release(1, LogCopies(2, 2)) == change


def test_what_is_a_question() -> None:
    asked = Received(ANNA, Stat("/a"))
    change = Received(ANNA, Mkdir(1, 1, 1, "/a"))
    assert is_question(asked, Decision())
    assert not is_question(asked, Decision([Set(b"x", 1)]))
    assert not is_question(change, Decision())  # its answer was stored with the first one's effect
    assert not is_question(Received(WORKER, Stat("/a")), Decision())
    assert not is_question("its deadline", Decision())


def test_the_queue_is_bounded() -> None:
    withheld = Withheld()
    withheld.hold(1, [Reply(ANNA, Ok())] * WITHHELD_MAX_ACTIONS)
    for event in (
        Received(ANNA, GetStatus()),
        Received(ANNA, Ping()),
        Received(NODE, Ok()),
        LinkLost(ANNA.peer, 1, "gone"),
    ):
        assert withheld.refusal(event, SHORT) is None
    assert Withheld().refusal(Received(ANNA, Stat("/a")), SHORT) is None
    refusal = withheld.refusal(Received(WORKER, Stat("/a")), LogCopies(2, 2))
    assert refusal is not None
    assert isinstance(refusal.message, Failed)
    assert refusal.message.text == CROWDED


class Answering:
    """A core that logs a record for each Ping and answers everything."""

    def __init__(self) -> None:
        self.remembered: list[Action] = []

    def handle(self, view: View, event: Event, now: Now) -> Decision:
        if not isinstance(event, Received):
            return Decision(actions=[Note("the core heard of the link")])
        commands = [Set(b"x", 1)] if isinstance(event.message, Ping) else []
        return Decision(list(commands), [Reply(event.origin, Ok(view.copies.wanted))])

    def on_deadline(self, view: View, now: Now) -> Decision:
        return Decision()

    def next_deadline(self) -> int | None:
        return None

    def remember(self, actions: Sequence[Action], now: Now) -> None:
        self.remembered += actions


class PlayedKeepers:
    """Keepers that agree to what the test says."""

    def __init__(self) -> None:
        self.copies = LogCopies(2, 2)
        self.agreed_index = 0
        self.due_ns: int | None = None

    def takes(self, event: Event) -> bool:
        return isinstance(event, LinkLost)

    def handle(self, event: Event, now: Now) -> list[Action]:
        return [Note("the keepers heard of the link")]

    def synced(self, now: Now) -> list[Action]:
        return []

    def on_deadline(self, now: Now) -> list[Action]:
        self.due_ns = None
        return [Note("a keeper is given up")]

    def next_deadline(self) -> int | None:
        return self.due_ns


@pytest.fixture
def keepers() -> PlayedKeepers:
    return PlayedKeepers()


@pytest.fixture
def core() -> Answering:
    return Answering()


@pytest.fixture
def step(keepers: PlayedKeepers, core: Answering) -> JournalStep:
    disk, table = MemoryDisk(), new_table()
    log = open_journal(disk, table, MODULES, CLUSTER, SEGMENT_BYTES)
    made = JournalStep(core, MODULES, log, table)
    made.keep_elsewhere(keepers)
    return made


def test_a_step_releases_what_is_agreed(step: JournalStep, keepers: PlayedKeepers) -> None:
    change, read = Received(ANNA, Ping()), Received(ANNA, Stat("/a"))
    assert step.run([read], NOW) == [Reply(ANNA, Ok(2))]  # there is no record it could have seen
    assert step.run([change, read, change], NOW) == []
    keepers.agreed_index = 1
    assert step.run([], NOW) == [Reply(ANNA, Ok(2))] * 2
    keepers.agreed_index = 2
    assert step.run([], NOW) == [Reply(ANNA, Ok(2))]


def test_a_step_answers_questions_while_changes_wait_for_a_machine(
    step: JournalStep, keepers: PlayedKeepers
) -> None:
    change, read = Received(ANNA, Ping()), Received(Origin(ANNA.peer, 1, 2), Stat("/a"))
    assert step.run([change, read], NOW) == []
    keepers.copies = SHORT
    assert step.run([read], NOW) == [Reply(read.origin, Ok(2))] * 2
    keepers.agreed_index = 1
    assert step.run([], NOW) == [Reply(ANNA, Ok(2))]


def test_one_machine_is_enough_again(step: JournalStep, keepers: PlayedKeepers) -> None:
    keepers.copies, keepers.agreed_index = ALONE, 1
    assert step.run([Received(ANNA, Ping())], NOW) == [Reply(ANNA, Ok(1))]


def test_the_core_remembers_what_the_keepers_decide_by_themselves(
    step: JournalStep, keepers: PlayedKeepers, core: Answering
) -> None:
    step.run([LinkLost(NODE.peer, 1, "gone")], NOW)
    keepers.due_ns = NOW.mono_ns
    step.run([], NOW)
    assert core.remembered == [Note("a keeper is given up")]


def test_a_lost_link_concerns_all(step: JournalStep) -> None:
    assert step.run([LinkLost(NODE.peer, 1, "gone")], NOW) == [
        Note("the keepers heard of the link"),
        Note("the core heard of the link"),
    ]

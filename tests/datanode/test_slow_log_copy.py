"""The log's copy on a disk that is slow or hangs: what is begun, what waits, what is refused."""

from __future__ import annotations

from dfs.datanode.log_keeper import KeeperAnswer, KeeperRequest, KeeperToken
from dfs.errors import StorageFault, Unavailable
from dfs.events import Origin, Reply, WorkDone
from dfs.limits import KEEPER_WAITING_MAX_REQUESTS
from dfs.wire.common import Failed
from dfs.wire.keeper import AppendLog, GetKeptLog, LogKept, ReadKeptLog
from tests.datanode.hand_driven import NAMENODE, Node


class Waiting:
    """A registered datanode whose copy of the log is on a disk that does only what it is told."""

    def __init__(self) -> None:
        self.node = Node()
        self.node.register(epoch=7)
        self.node.take_out()
        self.requests = 0

    def ask(self, request: KeeperRequest, link: int = 1) -> int:
        self.requests += 1
        self.node.receive(Origin(NAMENODE, link, self.requests), request)
        return self.requests

    def under_way(self) -> list[int]:
        """The requests that the disk is at."""
        tokens = [work.token for work in self.node.work]
        return [token.origin.request for token in tokens if isinstance(token, KeeperToken)]

    def end(self, error: Exception | None = None) -> None:
        """What the disk is at ends."""
        work = self.node.work.popleft()
        self.node.event(WorkDone(work.token, KeeperAnswer(LogKept(5)), error))

    def answers(self) -> list[tuple[int, object]]:
        replies = [out for out in self.node.take_out() if isinstance(out, Reply)]
        return [
            (r.origin.request, r.message.error() if isinstance(r.message, Failed) else r.message)
            for r in replies
        ]


def test_one_request_is_under_way_at_a_time_and_they_end_in_order() -> None:
    slow = Waiting()
    asked = [slow.ask(AppendLog(7, 1, True)) for _ in range(3)]
    for number in asked:
        assert slow.under_way() == [number]
        slow.end()
    assert slow.answers() == [(number, LogKept(5)) for number in asked]
    assert slow.under_way() == []


def test_after_a_request_that_failed_comes_the_next_one() -> None:
    slow = Waiting()
    slow.ask(AppendLog(7, 1, True))
    following = slow.ask(AppendLog(7, 2, True))
    slow.end(StorageFault("it broke"))
    assert slow.under_way() == [following]
    ((number, error),) = slow.answers()
    assert (number, type(error)) == (1, StorageFault)


def test_questions_that_are_repeated_while_the_disk_hangs_do_not_pile_up() -> None:
    slow = Waiting()
    hanging = slow.ask(AppendLog(7, 1, True))
    pieces = [slow.ask(AppendLog(7, 2, True)), slow.ask(AppendLog(7, 3, True))]
    questions = [slow.ask(GetKeptLog(), link) for link in range(1, 50)]
    assert slow.under_way() == [hanging]
    given_up = slow.answers()
    assert [number for number, _ in given_up] == pieces + questions[:-1]
    assert {type(error) for _, error in given_up} == {Unavailable}
    slow.end()
    assert slow.under_way() == questions[-1:]
    slow.end()
    assert slow.under_way() == []
    assert slow.answers() == [(hanging, LogKept(5)), (questions[-1], LogKept(5))]


def test_what_waits_for_the_disk_is_bounded() -> None:
    slow = Waiting()
    for _ in range(1 + KEEPER_WAITING_MAX_REQUESTS):
        slow.ask(ReadKeptLog(1))
    assert slow.answers() == []
    refused = [slow.ask(ReadKeptLog(1)), slow.ask(AppendLog(7, 1, True))]
    answers = slow.answers()
    assert [number for number, _ in answers] == refused
    assert {type(error) for _, error in answers} == {Unavailable}
    question = slow.ask(GetKeptLog())
    assert question not in dict(slow.answers())
    slow.end()
    assert slow.under_way() == [question]

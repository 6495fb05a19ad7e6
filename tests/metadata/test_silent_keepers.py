"""Keepers of the log whose disks hang: when they are given up, and for whom."""

from __future__ import annotations

from dfs.events import Send
from dfs.limits import (
    KEEPER_BROKEN_NS,
    KEEPER_LOOK_NS,
    KEEPER_PAUSE_MAX_NS,
    KEEPER_TRIES_MAX,
    KEEPER_TRY_NS,
    SECOND_NS,
)
from dfs.namenode.module import LogCopies
from dfs.wire.keeper import AppendLog, GetKeptLog, KeptLog, LogKept
from tests.metadata.test_keepers import BETA, DELTA, GAMMA, Stage, checksum_of


def silence(stage: Stage, tries: int = KEEPER_TRIES_MAX) -> list[Send]:
    """Let so many answers be overdue; what is sent meanwhile and nobody answers."""
    sent = []
    for _ in range(tries):
        sent += stage.wait(KEEPER_TRY_NS)
        sent += stage.wait(KEEPER_PAUSE_MAX_NS)
    return sent


def in_step(*nodes: str) -> Stage:
    """Two keepers, both in step with a record, beside which these nodes live."""
    stage = Stage("datanode-1", BETA, GAMMA, *nodes)
    stage.write()
    stage.run()
    stage.bring_in_step(BETA)
    stage.bring_in_step(GAMMA)
    return stage


def test_a_keeper_whose_disk_hangs_makes_way_for_another() -> None:
    stage = in_step(DELTA)
    stage.write()
    _, of_gamma = stage.run()
    stage.answer(of_gamma, LogKept(2))
    assert {s.to.name for s in silence(stage, KEEPER_TRIES_MAX - 1)} == {BETA}
    assert [s.to.name for s in silence(stage, 1)] == [DELTA]
    assert stage.keepers.copies == LogCopies(2, 2)
    told = f"{BETA} is given up as log keeper; those are now {GAMMA}, {DELTA}"
    assert stage.notes[-2:] == [f"{BETA} does not keep the log: it does not answer", told]
    stage.bring_in_step(DELTA)
    assert stage.notes[-1] == f"{DELTA} keeps the log, up to record 2"


def test_a_record_that_only_a_silent_keeper_was_sent_is_not_agreed() -> None:
    stage = in_step(DELTA)
    stage.write()
    stage.run()
    silence(stage)
    assert stage.keepers.copies == LogCopies(2, 1)
    assert stage.keepers.agreed_index == 1
    stage.bring_in_step(DELTA)
    assert stage.keepers.agreed_index == 2


def test_a_keeper_that_only_says_what_it_has_is_as_good_as_silent() -> None:
    """Each sync takes longer than a try, what needs none is answered."""
    stage = in_step(DELTA)
    stage.write()
    _, of_gamma = stage.run()
    stage.answer(of_gamma, LogKept(2))
    stage.wait(KEEPER_TRY_NS)
    (ask,) = stage.wait(KEEPER_PAUSE_MAX_NS)
    (again,) = stage.answer(ask, KeptLog(3, 1, 1, checksum_of(stage.log, 1)))
    assert again.message == AppendLog(3, 2, True)
    assert DELTA in {s.to.name for s in silence(stage, 1)}


def test_a_keeper_that_confirms_late_once_in_a_while_stays() -> None:
    stage = in_step(DELTA)
    for index in range(2, 6):
        stage.write()
        of_beta, of_gamma = stage.run()
        stage.answer(of_gamma, LogKept(index))
        stage.wait(KEEPER_TRY_NS)
        stage.answer(of_beta, LogKept(index))  # too late
        (ask,) = stage.wait(KEEPER_PAUSE_MAX_NS)
        (rest,) = stage.answer(ask, KeptLog(3, 1, index, checksum_of(stage.log, index)))
        stage.answer(rest, LogKept(index))
    assert DELTA not in {s.to.name for s in stage.sent}
    assert stage.keepers.agreed_index == 5


def test_the_only_keeper_is_asked_on_while_it_is_silent_and_another_is_taken_when_it_comes() -> (
    None
):
    stage = Stage("datanode-1", BETA)
    stage.write()
    stage.run()
    assert {s.to.name for s in silence(stage, 3 * KEEPER_TRIES_MAX)} == {BETA}
    assert not any("given up" in note for note in stage.notes)
    stage.join(GAMMA)
    assert {s.to.name for s in stage.wait(KEEPER_LOOK_NS)} == {GAMMA}


def test_a_keeper_that_was_silent_is_taken_again_after_a_while_when_one_is_missing() -> None:
    stage = in_step(DELTA)
    stage.write()
    _, of_gamma = stage.run()
    stage.answer(of_gamma, LogKept(2))
    silence(stage)
    stage.bring_in_step(DELTA)
    stage.sent.clear()
    stage.wait(KEEPER_BROKEN_NS)
    assert stage.sent == []  # those that there are stay
    stage.now_ns += 60 * SECOND_NS
    for node in ("datanode-1", BETA, DELTA):
        stage.nodes.heartbeat(node, 1, 1, stage.now_ns)
    stage.run()
    assert [(s.to.name, s.message) for s in stage.sent] == [(BETA, GetKeptLog())]

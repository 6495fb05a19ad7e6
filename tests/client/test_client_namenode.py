"""Requests to the namenode: repeated through restarts, applied once, ended in time."""

from __future__ import annotations

import pytest

from dfs.client.backup import prepare
from dfs.client.listing import locate_all
from dfs.client.namenode import UNSENT
from dfs.client.session import Session
from dfs.errors import (
    DeadlineExceeded,
    NotFound,
    OutcomeUnknown,
    Refused,
    TooFewNodes,
    Unavailable,
)
from dfs.events import LinkLost
from dfs.limits import (
    FIRST_CONTACT_NS,
    SECOND_NS,
    SESSION_KEEP_REPLIES,
    SNAPSHOT_DEADLINE_NS,
    WAIT_NOTICE_NS,
)
from dfs.wire import namespace as m
from dfs.wire.common import Ok
from tests.client.stage import NAMENODE, Stage


def mkdir(path: str = "/a") -> m.Mkdir:
    return m.Mkdir(*UNSENT, path)


def test_first_contact_fails_within_two_seconds_and_says_how_to_start_it() -> None:
    for silence, reason in (("mute", "silent for 2 s"), ("down", "namenode cannot be reached: .+")):
        stage = Stage()
        stage.dumb.mute, stage.dumb.up = silence == "mute", silence != "down"
        begin_ns = stage.now_ns
        told = rf"at nn:1 \({reason}\): start .*'minidfs up', .*'minidfs namenode'$"
        with pytest.raises(Unavailable, match=told):
            stage.run(stage.namenode.ask(m.Stat("/a")))
        assert stage.now_ns - begin_ns == FIRST_CONTACT_NS
        assert stage.core.idle


def test_a_namenode_that_only_withholds_its_answer_is_waited_for() -> None:
    stage = Stage()
    stage.dumb.withholds = True
    number = stage.start(stage.namenode.change(mkdir()))
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 10 * SECOND_NS:
        stage.step()
    assert stage.notices[0].startswith("waiting for the namenode at nn:1 since 3 s")
    stage.dumb.withholds = False
    assert stage.result(number) == Ok(1)
    assert stage.core.idle


def test_a_refusal_is_final_and_keeps_its_text() -> None:
    stage = Stage()
    stage.dumb.mute = True
    number = stage.start(stage.namenode.ask(m.Stat("/a")))
    lost = LinkLost(NAMENODE, 1, "cluster 'x' and not 'y'", refused=True)
    stage.carry_out(stage.core.handle(lost, stage.now()))
    with pytest.raises(Refused, match="cluster 'x' and not 'y'"):
        stage.result(number)


def test_a_restart_is_waited_out_and_noticed_once() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.up = False
    number = stage.start(stage.namenode.change(mkdir()))
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 10 * SECOND_NS:
        stage.step()
    assert len(stage.notices) == 1
    assert stage.notices[0].startswith("waiting for the namenode at nn:1 since 3 s")
    stage.dumb.up = True
    assert stage.result(number) == Ok(1)
    assert stage.core.idle


def test_a_silent_namenode_is_noticed_after_three_seconds() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.mute = True
    stage.start(stage.namenode.ask(m.Stat("/a")))
    begin_ns = stage.now_ns
    while not stage.notices:
        stage.step()
    assert stage.now_ns - begin_ns == WAIT_NOTICE_NS


@pytest.mark.parametrize("swallowed", [1, 2, 5])
def test_a_change_with_lost_answers_is_repeated_unchanged_and_applied_once(swallowed: int) -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.swallow = swallowed
    assert stage.run(stage.namenode.change(mkdir())) == Ok(1)
    sent = [s for s in stage.dumb.heard if isinstance(s, m.Mkdir) and s.path == "/a"]
    assert len(sent) == swallowed + 1
    assert len(set(sent)) == 1
    assert stage.dumb.applied.count(sent[0]) == 1


def test_time_over_is_unknown_for_changes_and_a_deadline_for_questions() -> None:
    stage = Stage(timeout_ns=7 * SECOND_NS)
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.mute = True
    begin_ns = stage.now_ns
    with pytest.raises(OutcomeUnknown, match=r"mkdir /a: .*nn:1, 7 s are over"):
        stage.run(stage.namenode.change(mkdir()))
    assert stage.now_ns - begin_ns == 7 * SECOND_NS
    with pytest.raises(DeadlineExceeded, match="within 7 s") as caught:
        stage.run(stage.namenode.ask(m.Stat("/a")))
    assert not isinstance(caught.value, OutcomeUnknown)
    assert stage.core.idle


def test_not_now_is_repeated_until_it_is_and_otherwise_told_as_it_was() -> None:
    stage = Stage(timeout_ns=5 * SECOND_NS)
    stage.dumb.errors = [Unavailable("safe mode")] * 3
    assert stage.run(stage.namenode.change(mkdir())) == Ok(1)
    stage.dumb.errors = [Unavailable("safe mode")] * 1000
    with pytest.raises(Unavailable, match="safe mode") as caught:
        stage.run(stage.namenode.change(mkdir("/b")))
    assert not isinstance(caught.value, DeadlineExceeded)


@pytest.mark.parametrize("error", [NotFound("no"), TooFewNodes("1 of 3 datanodes is up")])
def test_definite_errors_are_raised_at_once(error: Exception) -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.errors = [error]  # type: ignore[list-item]
    begin_ns = stage.now_ns
    with pytest.raises(type(error)):
        stage.run(stage.namenode.change(mkdir()))
    assert stage.now_ns == begin_ns


def test_an_expired_session_is_replaced_for_a_change_that_was_never_applied() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.sessions.clear()
    assert stage.run(stage.namenode.change(mkdir())) == Ok(1)
    assert len(stage.dumb.sessions) == 1


def test_an_expired_session_leaves_the_outcome_of_an_unanswered_change_unknown() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.swallow = 1
    number = stage.start(stage.namenode.change(mkdir()))
    stage.dumb.sessions.clear()
    with pytest.raises(OutcomeUnknown, match="session has ended"):
        stage.result(number)
    assert stage.run(stage.namenode.change(mkdir("/next"))) == Ok(1)


def test_questions_open_no_session_and_concurrent_changes_share_one() -> None:
    stage = Stage()
    with pytest.raises(NotFound):
        stage.run(stage.namenode.ask(m.Stat("/a")))
    assert stage.dumb.sessions == {}
    numbers = [stage.start(stage.namenode.change(mkdir(f"/{i}"))) for i in range(5)]
    for number in numbers:
        assert stage.result(number) == Ok(1)
    assert len({change.session for change in stage.dumb.applied}) == 1  # type: ignore[attr-defined]
    closed = [c for c in stage.dumb.heard if isinstance(c, m.CloseSession)]
    assert len(closed) == len(stage.dumb.sessions) - 1


def test_more_changes_than_answers_are_kept_wait_for_their_turn() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    stage.dumb.swallow = 1  # the oldest stays open while the others are answered
    count = 2 * SESSION_KEEP_REPLIES
    numbers = [stage.start(stage.namenode.change(mkdir(f"/{i}"))) for i in range(count)]
    for number in numbers:
        assert stage.result(number) == Ok(1)
    for change in stage.dumb.applied:
        assert isinstance(change, m.Change)
        assert change.sequence - change.ack_below < SESSION_KEEP_REPLIES


def test_a_session_that_stays_full_is_not_waited_for_longer_than_the_timeout() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir("/first")))
    session = stage.namenode._session
    assert session is not None
    while not session.full:
        session.begin()
    with pytest.raises(DeadlineExceeded, match="no session was to be had within 60"):
        stage.run(stage.namenode.change(mkdir()))


def test_acknowledged_is_what_nobody_waits_for_any_more() -> None:
    session = Session(1, SECOND_NS)
    first, second, third = (session.begin() for _ in range(3))
    session.end(second)
    assert session.ack_below == first
    session.end(first)
    assert session.ack_below == third
    session.end(third)
    assert session.ack_below == third + 1


def test_the_session_is_renewed_while_it_is_kept_and_closed_at_the_end() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir()))
    keeper = stage.start(stage.namenode.keep_session())
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 100 * SECOND_NS:
        stage.step()
    renewals = [c for c in stage.dumb.heard if isinstance(c, m.RenewLease)]
    assert len(renewals) == 6
    stage.dumb.sessions.clear()
    while len([c for c in stage.dumb.heard if isinstance(c, m.RenewLease)]) < 7:
        stage.step()
    stage.step()
    stage.run(stage.namenode.change(mkdir("/b")))
    assert len(stage.dumb.sessions) == 1
    stage.core.abandon(keeper)
    stage.run(stage.namenode.close_session())
    assert isinstance(stage.dumb.heard[-1], m.CloseSession)
    assert stage.core.idle


def test_renewal_is_tried_again_soon_while_the_namenode_is_away() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir()))
    stage.start(stage.namenode.keep_session())
    stage.dumb.up = False
    begin_ns = stage.now_ns
    while stage.now_ns < begin_ns + 30 * SECOND_NS:
        stage.step()
    stage.dumb.up = True
    begin_ns, before = stage.now_ns, len(stage.dumb.heard)
    while len(stage.dumb.heard) == before:
        stage.step()
    assert isinstance(stage.dumb.heard[-1], m.RenewLease)
    assert stage.now_ns - begin_ns <= 2 * SECOND_NS


def test_a_lost_renewal_costs_no_lease_however_short() -> None:
    stage = Stage()
    stage.dumb.lease_ns = 3 * SECOND_NS
    stage.run(stage.namenode.change(mkdir()))
    keeper = stage.start(stage.namenode.keep_session())
    for _ in range(5):
        renewed_ns = stage.now_ns
        stage.dumb.swallow = 1
        before = len(stage.dumb.heard)
        while len(stage.dumb.heard) < before + 2:
            stage.step()
        assert stage.now_ns - renewed_ns < stage.dumb.lease_ns
    stage.core.abandon(keeper)


def test_a_snapshot_that_is_never_taken_ends_a_backup_with_one_line() -> None:
    stage = Stage()
    begin_ns = stage.now_ns
    with pytest.raises(DeadlineExceeded, match="no snapshot within 600 s: see 'minidfs logs"):
        stage.run(prepare(stage.namenode))
    waited_ns = stage.now_ns - begin_ns
    assert SNAPSHOT_DEADLINE_NS <= waited_ns < SNAPSHOT_DEADLINE_NS + SECOND_NS
    assert stage.core.idle


def test_closing_without_a_namenode_takes_a_moment_and_no_error() -> None:
    stage = Stage()
    stage.run(stage.namenode.change(mkdir()))
    stage.dumb.mute = True
    begin_ns = stage.now_ns
    stage.run(stage.namenode.close_session())
    assert stage.now_ns - begin_ns == SECOND_NS


def test_locations_are_asked_page_by_page_of_one_version() -> None:
    stage = Stage()
    file = stage.dumb.add_file("/f", [bytes([i]) * 10 for i in range(5)])
    chunks = stage.run(locate_all(stage.namenode, "/f"))
    assert [chunk.start for chunk in chunks] == [0, 10, 20, 30, 40]
    questions = [q for q in stage.dumb.heard if isinstance(q, m.Locate)]
    assert [q.inode for q in questions] == [0, file.inode, file.inode]

"""The time left of a run: when it is known, and that it never jumps."""

from __future__ import annotations

import random

from cli.jobs.time_left import KNOWN_AFTER_NS, TimeLeft
from dfs.limits import SECOND_NS


def test_it_is_known_after_a_while_and_some_work() -> None:
    left = TimeLeft()
    assert left.estimate(0.0, 0) is None
    assert left.estimate(0.5, KNOWN_AFTER_NS - 1) is None, "too early"
    assert left.estimate(0.5, KNOWN_AFTER_NS) == KNOWN_AFTER_NS
    assert TimeLeft().estimate(0.5, 99 * SECOND_NS) is None, "nothing was seen to move"


def test_even_work_ends_when_it_was_said_to() -> None:
    left = TimeLeft()
    for second in range(101):
        found = left.estimate(second / 100, second * SECOND_NS)
        assert found is None or abs(found - (100 - second) * SECOND_NS) < SECOND_NS


def test_it_does_not_jump() -> None:
    left, moves = TimeLeft(), random.Random("left")
    done, before = 0.0, None
    for second in range(200):
        done += moves.choice((0.0, 0.0, 0.0, 0.02))
        found = left.estimate(done, second * SECOND_NS)
        if before is not None and found is not None:
            direct_ns = (1 - done) * second * SECOND_NS / max(done, 0.02)
            assert abs(found - before) <= SECOND_NS + abs(direct_ns - before) / 10
        before = found


def test_lost_work_is_taken_in_little_by_little() -> None:
    left = TimeLeft()
    left.estimate(0.0, 0)
    before = left.estimate(0.9, 60 * SECOND_NS)
    after = left.estimate(0.2, 61 * SECOND_NS)
    assert before is not None
    assert after is not None
    assert before < after < 0.8 * 61 * SECOND_NS / 0.2 / 10


def test_less_than_at_first_begins_anew() -> None:
    left = TimeLeft()
    left.estimate(0.5, 0)
    assert left.estimate(0.9, 60 * SECOND_NS) is not None
    assert left.estimate(0.1, 61 * SECOND_NS) is None

"""The clock that stands still while the process does not run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dfs.events import Now
from dfs.limits import AWAKE_LOOK_NS, AWAKE_MAX_NS, SECOND_NS
from dfs.net.awake import AwakeClock

START = Now(100 * SECOND_NS, 5)


def test_time_passes_while_steps_follow_each_other() -> None:
    clock = AwakeClock()
    for count in range(100):
        now = Now(START.mono_ns + count * AWAKE_MAX_NS, count)
        assert clock.read(now) == now


def test_what_was_slept_through_does_not_count() -> None:
    clock = AwakeClock()
    clock.read(START)
    woke = Now(START.mono_ns + 3600 * SECOND_NS, 6)
    assert clock.read(woke) == Now(START.mono_ns + AWAKE_MAX_NS, 6)
    due = START.mono_ns + AWAKE_MAX_NS + 7
    assert clock.until(due) == woke.mono_ns + 7


def test_it_is_looked_at_often_while_anything_is_due() -> None:
    clock = AwakeClock()
    assert clock.until(None) is None
    assert clock.until(9) == 9
    clock.read(START)
    assert clock.until(None) is None
    assert clock.until(START.mono_ns + 60 * SECOND_NS) == START.mono_ns + AWAKE_LOOK_NS
    assert clock.until(0) == 0
    assert AWAKE_LOOK_NS < AWAKE_MAX_NS


@given(st.lists(st.integers(0, 5 * SECOND_NS), max_size=20), st.integers(0, 9 * SECOND_NS))
def test_a_deadline_comes_when_its_time_has_passed_awake(gaps: list[int], wait_ns: int) -> None:
    """Nobody waits less than he should; and no more than by what was slept, and a look."""
    clock, machine_ns = AwakeClock(), START.mono_ns
    due = clock.read(START).mono_ns + wait_ns
    awake_ns = START.mono_ns
    for gap in gaps:
        machine_ns += gap
        read = clock.read(Now(machine_ns, 0)).mono_ns
        assert read == awake_ns + min(gap, AWAKE_MAX_NS)
        awake_ns = read
        look = clock.until(due)
        assert look is not None
        assert look - machine_ns == min(due - awake_ns, AWAKE_LOOK_NS)

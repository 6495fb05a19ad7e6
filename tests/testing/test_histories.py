"""The judge of histories: what has a serial order, and what has none."""

from __future__ import annotations

import pytest

from dfs.testing.histories import History, listed, put, remove, rename, saw


def test_acts_one_after_the_other_are_judged_in_their_order() -> None:
    history = History()
    for text, effect in (
        ("put", put("a", 1)),
        ("rename", rename("a", "b")),
        ("read a", saw("a", None)),
        ("read b", saw("b", 1)),
        ("list", listed(["b"])),
        ("remove", remove("b")),
        ("list", listed([])),
    ):
        history.end(history.begin(text, effect))
    assert history.is_linearizable()


@pytest.mark.parametrize(
    "seen", [saw("a", None), saw("a", 2), listed([]), remove("b"), rename("b", "a")]
)
def test_an_answer_that_no_order_explains_is_found(seen: object) -> None:
    history = History()
    history.end(history.begin("put", put("a", 1)))
    assert callable(seen)
    history.end(history.begin("seen", seen))
    assert not history.is_linearizable()


@pytest.mark.parametrize("number", [1, 2])
def test_acts_at_the_same_time_may_have_either_order(number: int) -> None:
    history = History()
    first, second = history.begin("put", put("a", 1)), history.begin("put", put("a", 2))
    history.end(first)
    history.end(second)
    history.end(history.begin("read", saw("a", number)))
    assert history.is_linearizable()


def test_nobody_sees_a_file_go_back_to_what_it_was() -> None:
    history = History()
    history.end(history.begin("put", put("a", 1)))
    change = history.begin("put", put("a", 2))
    history.end(history.begin("read", saw("a", 2)))
    history.end(history.begin("read", saw("a", 1)))
    history.end(change)
    assert not history.is_linearizable()


@pytest.mark.parametrize("seen", [1, 2])
def test_an_unknown_outcome_may_have_happened_or_not(seen: int) -> None:
    history = History()
    history.end(history.begin("put", put("a", 1)))
    history.begin("put, unknown", put("a", 2))
    history.end(history.begin("read", saw("a", seen)))
    assert history.is_linearizable()
    history.end(history.begin("read", saw("a", 3)))
    assert not history.is_linearizable()


def test_what_certainly_did_not_happen_is_dropped() -> None:
    history = History()
    history.drop(history.begin("put", put("a", 1)))
    history.end(history.begin("read", saw("a", None)))
    assert history.is_linearizable()

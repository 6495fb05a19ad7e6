"""What a node holds, as the namenode keeps it: sorted blocks, judged by sets."""

from __future__ import annotations

import struct
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import ProtocolError
from dfs.namenode.held import Held, HeldReplicas, Report
from dfs.namenode.sorted_ids import BLOCK_MAX, SortedIds

numbers = st.integers(0, 60)


@given(st.lists(st.tuples(st.booleans(), numbers)), numbers, st.integers(1, 70))
def test_sorted_ids_behave_like_a_set(
    changes: list[tuple[bool, int]], start: int, limit: int
) -> None:
    ids, model = SortedIds(), set[int]()
    for adding, number in changes:
        changed = ids.add(number) if adding else ids.discard(number)
        assert changed == ((number in model) != adding)
        (model.add if adding else model.discard)(number)
        assert (number in ids) == adding
    assert len(ids) == len(model)
    assert ids.page(start, limit) == [n for n in sorted(model) if n >= start][:limit]


def test_blocks_are_filled_cut_and_dropped() -> None:
    ids = SortedIds()
    ids.extend(array("Q", range(0, 4 * BLOCK_MAX, 2)))
    ids.extend(array("Q"))
    ids.extend(array("Q", [4 * BLOCK_MAX]))
    for odd in range(1, 4 * BLOCK_MAX, 2):
        assert ids.add(odd)
    assert ids.page(0, 1 << 30) == list(range(4 * BLOCK_MAX + 1))
    assert 4 * BLOCK_MAX + 1 not in ids
    for number in range(4 * BLOCK_MAX + 1):
        assert ids.discard(number)
    assert len(ids) == 0
    assert ids.page(0, 9) == []
    assert ids.add(7)
    assert 7 in ids


replicas = st.builds(Held, st.integers(1, 30), st.integers(0, 3))


@given(st.lists(st.tuples(st.booleans(), replicas)), st.integers(0, 31), st.integers(1, 9))
def test_held_replicas_behave_like_a_set(
    changes: list[tuple[bool, Held]], start: int, limit: int
) -> None:
    held, model = HeldReplicas(), set[Held]()
    for adding, replica in changes:
        changed = held.add(*replica) if adding else held.discard(*replica)
        assert changed == ((replica in model) != adding)
        (model.add if adding else model.discard)(replica)
        assert held.holds(*replica) == adding
        same = sorted(r.generation for r in model if r.chunk == replica.chunk)
        assert held.generations(replica.chunk) == tuple(same)
    assert len(held) == len(model)
    found: list[Held] = []
    while page := held.page(start, limit):
        found += page
        start = page[-1].chunk + 1
    assert found == sorted(r for r in model if r.chunk >= found[0].chunk) if found else True
    assert not [r for r in model if r.chunk >= start]


def packed(rows: list[Held]) -> bytes:
    return b"".join(struct.pack(">QQQ", *row, 5) for row in rows)


@given(st.sets(replicas), st.integers(1, 5))
def test_a_report_in_pages_is_what_was_reported(model: set[Held], size: int) -> None:
    rows = sorted(model)
    report = Report(1)
    for page, at in enumerate(range(0, len(rows) + 1, size)):
        report.take(page, packed(rows[at : at + size]))
    assert report.held.page(0, 1000) == rows
    assert len(report.held) == len(rows)


@pytest.mark.parametrize(
    ("page", "payload"),
    [
        (1, b""),
        (0, b"short"),
        (0, packed([Held(2, 1), Held(1, 1)])),
        (0, packed([Held(2, 1), Held(2, 1)])),
        (0, packed([Held(2, 3), Held(2, 1)])),
    ],
)
def test_pages_that_cannot_be_are_refused(page: int, payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        Report(1).take(page, payload)


def test_rows_rise_from_page_to_page() -> None:
    report = Report(1)
    report.take(0, packed([Held(5, 1)]))
    with pytest.raises(ProtocolError):
        report.take(1, packed([Held(5, 1)]))


def test_a_number_costs_eight_bytes() -> None:
    ids = SortedIds()
    ids.extend(array("Q", range(100_000)))
    blocks: Any = ids._blocks
    assert sum(block.buffer_info()[1] * block.itemsize for block in blocks) == 800_000

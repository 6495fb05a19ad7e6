"""What records count against the memory of a map: by the records alone."""

from __future__ import annotations

from typing import Any

import pytest

from mapreduce.shuffle.buffer import (
    KEY_CHARGE_BYTES,
    NUMBER_CHARGE_BYTES,
    SMALL_INT_CHARGE_BYTES,
    TEXT_CHARGE_BYTES,
    CombineBuffer,
)


@pytest.mark.parametrize(
    ("values", "charge_bytes"),
    [
        ([1, -5, 256], 3 * SMALL_INT_CHARGE_BYTES),
        ([1, 257], 2 * NUMBER_CHARGE_BYTES),
        ([-6, 1], 2 * NUMBER_CHARGE_BYTES),
        ([True, False], 2 * NUMBER_CHARGE_BYTES),
        ([1, None, 2.5], 3 * NUMBER_CHARGE_BYTES),
        (["ab", ""], 2 * TEXT_CHARGE_BYTES + 2),
    ],
)
def test_values_of_a_known_key(values: list[Any], charge_bytes: int) -> None:
    buffer = CombineBuffer(lambda key, found: iter([(key, sum(found))]))
    buffer.add(["key"], [1])
    first = KEY_CHARGE_BYTES + TEXT_CHARGE_BYTES + len("key") + SMALL_INT_CHARGE_BYTES
    assert buffer.held_bytes == first
    buffer.add(["key"] * len(values), values)
    assert buffer.held_bytes == first + charge_bytes

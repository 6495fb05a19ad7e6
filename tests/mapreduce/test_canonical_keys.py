"""Canonical keys: equality, order, partitions, and the bytes that other versions rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapreduce.shuffle.keys import (
    KeyTypeError,
    KeyTypesError,
    canonical,
    decode,
    encode,
    join_types,
    partitions_of,
    show_type,
    type_of,
    type_of_all,
)
from tests.mapreduce.memory_env import partition_of

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "keys.json").read_text("utf-8"))
READ = {"nan": math.nan, "datetime": datetime, "date": date}

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "int": st.integers() | st.integers(-(2**2100), 2**2100),
    "float": st.floats().map(canonical),
    "str": st.text(st.characters(codec=None), max_size=8),
    "bytes": st.binary(max_size=8),
    "date": st.dates(),
    "datetime": st.datetimes().map(canonical),
}
SAME_TYPE = st.one_of(
    [st.lists(scalar | st.none(), min_size=2, max_size=6) for scalar in SCALARS.values()]
    + [
        st.lists(st.tuples(a, b | st.none()), min_size=2, max_size=6)
        for a in SCALARS.values()
        for b in SCALARS.values()
    ]
)


def by_python(key: Any) -> Any:
    """A sort key that says the rules of order in plain Python."""
    if key is None:
        return (0,)
    if isinstance(key, tuple):
        return (1, [by_python(field) for field in key])
    if isinstance(key, float) and math.isnan(key):
        return (2,)
    return (1, key)


@given(SAME_TYPE)
def test_bytes_compare_as_keys_do(keys: list[Any]) -> None:
    assert list(map(by_python, sorted(keys, key=by_python))) == list(
        map(by_python, sorted(keys, key=encode))
    )
    for one in keys:
        for other in keys:
            assert (encode(one) == encode(other)) == (by_python(one) == by_python(other))


@given(SAME_TYPE)
def test_bytes_give_the_key_back(keys: list[Any]) -> None:
    for key in keys:
        back = decode(encode(key))
        assert by_python(back) == by_python(key)
        assert type_of(back) == type_of(key)


@given(SAME_TYPE, st.integers(1, 9))
def test_many_keys_get_the_partitions_of_each(keys: list[Any], partitions: int) -> None:
    found = partitions_of(keys, partitions)
    assert found == [partition_of(key, partitions) for key in keys]


@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["key"])
def test_golden_vectors(vector: dict[str, Any]) -> None:
    key = eval(vector["key"], READ)
    assert encode(key).hex(" ") == vector["bytes"]
    assert [partition_of(key, n) for n in (4, 10_000)] == vector["partitions"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"\x99" + b])
@pytest.mark.parametrize("vector", GOLDEN, ids=lambda vector: vector["key"])
def test_other_bytes_are_refused(vector: dict[str, Any], damage: Callable[[bytes], bytes]) -> None:
    whole = bytes.fromhex(vector["bytes"])
    with pytest.raises(ValueError, match=r"canonical key|subsection|range"):
        decode(damage(whole))


def test_keys_that_python_calls_equal_are_one_key() -> None:
    assert encode(canonical(-0.0)) == encode(0.0)
    assert encode(canonical(float("-nan"))) == encode(math.nan)
    assert canonical(("a", -0.0))[1].hex() == "0x0.0p+0"
    assert encode(canonical(datetime(2026, 1, 1, fold=1))) == encode(datetime(2026, 1, 1))


def test_keys_of_different_type_are_different() -> None:
    assert len({encode(key) for key in (1, 1.0, True, "1", b"1", (1,), None)}) == 7


@pytest.mark.parametrize(
    ("keys", "both"),
    [
        ([1, True], "int and bool"),
        ([1, 1.0], "int and float"),
        (["a", None, b"a"], "str and bytes"),
        ([("a", 1), ("a", 1.0)], "tuple[str, int] and tuple[str, float]"),
        ([("a",), ("a", 1)], "tuple[str] and tuple[str, int]"),
        ([date(2026, 1, 1), datetime(2026, 1, 1)], "date and datetime"),
    ],
)
def test_two_types_are_named(keys: list[Any], both: str) -> None:
    with pytest.raises(KeyTypesError) as caught:
        type_of_all(keys)
    assert both in str(caught.value)


def test_none_goes_with_any_type() -> None:
    assert show_type(type_of_all([None, 1])) == "int"
    assert show_type(type_of_all([("a", None), (None, 2)])) == "tuple[str, int]"
    assert join_types("None", "str") == join_types("str", "None") == "str"
    assert show_type(type_of_all([()])) == "tuple[()]"


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "key", [[1], {1}, {}, Colour.RED, datetime(2026, 1, 1, tzinfo=UTC), 1j, ("a", [])]
)
def test_a_key_without_canonical_form_is_refused(key: Any) -> None:
    with pytest.raises(
        KeyTypeError, match=r"a key of type (list|set|dict|Colour|datetime|complex)"
    ):
        type_of_all([key])

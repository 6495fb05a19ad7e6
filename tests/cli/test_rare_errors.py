"""What commands do about errors that hardly ever come."""

from __future__ import annotations

import click
import pytest

from cli.errors import Failures
from cli.invocation import TIME, Invocation


def test_a_time_that_is_none_is_a_usage_error_that_names_the_spelling() -> None:
    with pytest.raises(click.BadParameter, match="soon"):
        TIME.convert("soon", None, None)
    assert TIME.convert("2", None, None) == 2_000_000_000


def test_output_that_nobody_reads_ends_the_whole_command() -> None:
    failures = Failures(Invocation("minidfs"))
    with pytest.raises(BrokenPipeError), failures.collect():
        raise BrokenPipeError
    failures.finish()

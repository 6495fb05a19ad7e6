"""Every case on every runner: the bytes of `inline`, and those say what a plain program says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conformance.case import ROOT, Case
from tests.conformance.example_cases import EXAMPLES
from tests.conformance.inputs import write_inputs
from tests.conformance.job_cases import JOBS
from tests.conformance.runners import RUNNERS, Run

pytestmark = pytest.mark.cluster

CASES = {case.name: case for case in (*EXAMPLES, *JOBS)}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_inputs(folder)
    return folder


@pytest.fixture(scope="module")
def runners(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(runner(inputs, tmp_path_factory.mktemp(name)))
            for name, runner in RUNNERS.items()
        }


def text(parts: dict[str, bytes]) -> list[str]:
    """The lines of all parts, in order."""
    whole = b"".join(parts[name] for name in sorted(parts))
    return whole.decode().split("\n")[:-1]


@pytest.mark.parametrize("name", CASES)
def test_every_runner_gives_the_same_bytes(
    name: str, inputs: Path, runners: dict[str, Run]
) -> None:
    case = CASES[name]
    wanted, reference = case.expected(inputs), runners["inline"](case)
    found = text(reference)
    assert found or name == "Nothing"
    assert (found if case.ordered else sorted(found)) == (
        wanted if case.ordered else sorted(wanted)
    )
    for runner in RUNNERS.keys() - {"inline"}:
        assert runners[runner](case) == reference, runner


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: case.name)
def test_the_command_that_an_example_shows_has_its_options(case: Case) -> None:
    job = case.job()
    assert job.__doc__
    shown = re.findall(rf"^minimr run {case.target} .*", (ROOT / case.target).read_text(), re.M)
    assert shown
    options = {word for line in shown for word in re.findall(r" --([\w-]+)", line)}
    assert options <= {name.replace("_", "-") for name in job.params}


def test_every_example_is_a_case() -> None:
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert examples - {"demo"} == {case.name for case in EXAMPLES}

"""docs/writing-jobs.md: every job of the page runs, and does what stands behind it."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.shell_session import files, shown, typed

PAGE = (Path(__file__).parents[2] / "docs" / "writing-jobs.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PROMPT = ">>> "


def test_what_is_typed_at_a_shell(tmp_path: Path) -> None:
    for name, text in files(PAGE).items():
        (tmp_path / name).write_text(text)
    commands = shown(PAGE)
    answers = typed([command for command, _ in commands], tmp_path, tmp_path / "none")
    assert [(0, output) for _, output in commands] == answers


def test_what_is_typed_at_a_prompt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (hamlet,) = re.findall(r"printf '(.*)' > hamlet.txt", PAGE)
    Path("hamlet.txt").write_text(hamlet.replace("\\n", "\n"))
    names: dict[str, Any] = {"__name__": "page"}
    runner = doctest.DocTestRunner(verbose=False)
    for number, block in enumerate(BLOCKS):
        if block.startswith(PROMPT):
            test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", None, 0)
            runner.run(test, clear_globs=False)
            names.update(test.globs)
        else:
            exec(compile(block, f"block {number}", "exec"), names)
    assert runner.summarize(verbose=False).failed == 0


def test_every_job_is_shown_to_run() -> None:
    jobs = re.findall(r"^class (\w+)\(mr\.Job\)", PAGE, re.MULTILINE)
    typed_in = "".join(block for block in BLOCKS if block.startswith(PROMPT))
    assert len(jobs) > 5
    assert [job for job in jobs if f"{job}(" not in typed_in] == ["Rare"], "that one is run above"

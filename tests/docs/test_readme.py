"""The README's commands, typed in order into a shell: each works, and prints what is shown."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.docs.shell_session import alike, files, shown, typed

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")

VARYING = (
    (r"\b[0-9a-f]{16}\b", "CLUSTER"),
    (r"data in \S+", "data in HOME"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME"),
    (r"j-\d{8}-\d{4}", "JOB"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"in \d+(\.\d+)? s;", "in SECONDS;"),
    (r"^(-rw-r--r--  3)  \S+", r"\1  OWNER"),
)


def test_every_command_of_the_readme_prints_what_is_shown(tmp_path: Path) -> None:
    for name, text in files(README).items():
        (tmp_path / name).write_text(text)
    shutil.copy(ROOT / "LICENSE", tmp_path)
    commands = shown(README)
    assert commands[0][0] == "minidfs up"
    assert commands[-1][0] == "minidfs down"
    answers = typed([command for command, _ in commands], tmp_path, tmp_path / ".minidfs")
    for (command, output), (code, printed) in zip(commands, answers, strict=True):
        assert alike(printed, VARYING) == alike(output, VARYING), command
        assert code == 0, command


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()

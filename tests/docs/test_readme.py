"""The README's commands, typed in order into a shell: each works, and prints what is shown."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


def alike(text: str) -> str:
    """The text without what differs from one run to the next."""
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


def sessions() -> list[tuple[str, str]]:
    """(command, output shown) of all shell blocks with a prompt, in order."""
    blocks = re.findall(r"^```\n(\$ .*?)^```", README, re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def test_every_command_of_the_readme_prints_what_is_shown(tmp_path: Path) -> None:
    job = re.search(r"Save this as `count.py`:\n\n```python\n(.*?)```", README, re.DOTALL)
    assert job is not None
    (tmp_path / "count.py").write_text(job.group(1))
    shutil.copy(ROOT / "LICENSE", tmp_path)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MINIDFS", "MINIMR"))}
    scripts = Path(sys.executable).parent
    env = {**kept, "HOME": str(tmp_path), "PATH": f"{scripts}:{kept['PATH']}", "LC_ALL": "C"}
    commands = sessions()
    assert commands[0][0] == "minidfs up"
    assert commands[-1][0] == "minidfs down"
    try:
        for command, shown in commands:
            done = subprocess.run(
                ["bash", "-c", f"{command} 2>&1"],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, (command, done.stdout)
            assert alike(done.stdout) == alike(shown), command
    finally:
        subprocess.run([scripts / "minidfs", "down"], env=env, check=False, capture_output=True)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()

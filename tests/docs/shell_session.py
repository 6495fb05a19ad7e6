"""The commands that a page shows behind a prompt, typed into one shell, and what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

TYPED_LIMIT_S = 240
ENDED = "== ended with "


def alike(text: str, varying: Iterable[tuple[str, str]]) -> str:
    """The text without what differs from one run to the next: patterns, and words for them."""
    for pattern, word in varying:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


def shown(page: str) -> list[tuple[str, str]]:
    """Command and output of every block with a prompt, in order."""
    blocks = re.findall(r"^```\n(\$ .*?)^```", page, re.MULTILINE | re.DOTALL)
    found = []
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def files(page: str) -> dict[str, str]:
    """The files that the page asks to save."""
    return dict(re.findall(r"Save this as `(\S+)`[^`]*:\n\n```\w*\n(.*?)```", page, re.DOTALL))


def typed(commands: list[str], folder: Path, home: Path) -> list[tuple[int, str]]:
    """Exit code and output, stderr included, of each command, all in one shell in ``folder``, which
    is HOME too. ``home`` is where their cluster will be; it does not outlive them."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MINIDFS", "MINIMR"))}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    env = {**kept, "HOME": str(folder), "PATH": path, "LC_ALL": "C"}
    script = "".join(f"{command}\necho '{ENDED}'$?\n" for command in commands)
    try:
        done = subprocess.run(
            ["bash", "-c", f"exec 2>&1\n{script}"],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=TYPED_LIMIT_S,
            check=False,
        )
    finally:
        env["MINIDFS_HOME"] = str(home)
        subprocess.run(["minidfs", "down"], env=env, check=False, capture_output=True)
    pieces = re.split(rf"^{ENDED}(\d+)\n", done.stdout, flags=re.MULTILINE)
    return [(int(code), out) for out, code in zip(pieces[::2], pieces[1::2], strict=False)]

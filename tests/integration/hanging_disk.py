"""A disk that hangs when it is told to, in the datanodes of a cluster that is not started yet.

A system call of theirs does not return as long as a file is there. So does one of a hung disk,
while the other threads of the process go on.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration.cluster_here import ClusterHere

HOOK = """
import os
import sys
import time

try:
    import handler_marks
    handler_marks.install()
except ImportError:
    pass

def hanging(call):
    def wait_and_call(*arguments):
        while os.path.exists(os.environ["HANGING_DISK"]):
            time.sleep(0.02)
        return call(*arguments)
    return wait_and_call

if "datanode" in sys.orig_argv:
    os.NAME = hanging(os.NAME)
"""


class HangingDisk:
    """``name``: the function of ``os`` that hangs."""

    def __init__(self, cluster: ClusterHere, folder: Path, name: str) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HOOK.replace("NAME", name), encoding="utf-8")
        self._flag = folder / "hangs"
        environment = cluster.environment
        paths = (str(folder), environment.get("PYTHONPATH", ""))
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        environment["HANGING_DISK"] = str(self._flag)

    def hang(self) -> None:
        """From now on it hangs."""
        self._flag.touch()

    def go_on(self) -> None:
        """What hangs goes on."""
        self._flag.unlink()

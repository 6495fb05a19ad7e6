"""A random user in a process of its own, against a real cluster, until its input ends.

``python -m tests.integration.real_user CLUSTER.TOML NAME SEED``. Every acknowledged byte is
compared when it is read, and all of them at the end, which comes with exit code 0.
"""

from __future__ import annotations

import select
import sys
import time
from collections import deque
from random import Random
from typing import NoReturn

import dfs
from dfs.limits import SECOND_NS
from dfs.testing.own_folder import OwnFolder

LINES_KEPT = 30


class RealTime:
    """The surroundings of a user in a real cluster."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    def run_for(self, duration_ns: int) -> None:
        time.sleep(duration_ns / SECOND_NS)

    def note_of(self, who: str, text: str) -> None:
        self._lines.append(f"{time.monotonic():.3f} {text}")

    def fail(self, what: str) -> NoReturn:
        raise AssertionError("\n".join((what, *self._lines)))


def main(config: str, name: str, seed: str) -> None:
    """Act until nothing more can come from standard input, then look at everything."""
    acts = 0
    with dfs.connect(config, timeout=120) as client:
        own = OwnFolder(RealTime(), Random(f"{seed}/{name}"), client, f"/{name}")
        while not select.select([sys.stdin], [], [], 0)[0]:
            own.act()
            acts += 1
        own.check()
    print(acts)


if __name__ == "__main__":
    main(*sys.argv[1:])

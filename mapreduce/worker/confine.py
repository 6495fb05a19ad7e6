"""What a task process gives up before it runs anybody's code.

It dies with its worker, gains no rights by running other programs, leaves no core file, and
what it writes is readable to nobody else. What the kernel is asked for stands in
``process_tree``; where there is no such kernel the task notices the death of its worker at its
next question, when the socket is closed.
"""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from mapreduce.worker.process_tree import give_up_rights

_SPACE_PER_BYTE = 4
_SPACE_MORE_BYTES = 16 << 30


def confine(parent: int) -> None:
    """Give up what a task must not have; ends the process if ``parent`` is dead already.

    The kernel sends the death signal when the *thread* that started us ends, so the worker
    starts tasks from a thread that lives as long as it does. A parent that died before the
    call sends nothing any more, hence the look at who our parent is now.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    give_up_rights()
    if os.getppid() != parent:
        os._exit(1)


def bound_address_space(memory_bytes: int) -> None:
    """A fuse far above the memory limit, which the worker watches: address space costs nothing
    until it is used, and some libraries abort without a word when they get none."""
    fuse_bytes = _SPACE_PER_BYTE * memory_bytes + _SPACE_MORE_BYTES
    with suppress(ValueError, OSError):  # a lower one holds already
        resource.setrlimit(resource.RLIMIT_AS, (fuse_bytes, fuse_bytes))

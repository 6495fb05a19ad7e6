"""What a task process gives up before it runs anybody's code.

It dies with its worker, gains no rights by running other programs, leaves no core file, and
what it writes is readable to nobody else. These are the calls that only Linux has; elsewhere the
task notices the death of its worker at its next question, when the socket is closed.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine(parent: int) -> None:
    """Give up what a task must not have; ends the process if ``parent`` is dead already.

    The kernel sends the death signal when the *thread* that started us ends, so the worker
    starts tasks from a thread that lives as long as it does. A parent that died before the
    call sends nothing any more, hence the look at who our parent is now.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for option, value in ((_PR_SET_PDEATHSIG, signal.SIGKILL), (_PR_SET_NO_NEW_PRIVS, 1)):
            if prctl(option, ctypes.c_ulong(value), 0, 0, 0):
                raise OSError(ctypes.get_errno(), f"prctl({option}) is refused")
    if os.getppid() != parent:
        os._exit(1)

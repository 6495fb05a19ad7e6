"""One task process as its worker holds it: started, listened to, and killed with all it started.

Rules of the file:

* A task gets a clean environment, its own session, one private folder as working directory, home
  and place for temporary files, and one end of a socket pair; nothing else of the worker's.
* What it prints, and what its own children print, comes through one pipe into the attempt's log.
  The pipe is drained while its attempt is listened to; a task that prints while nobody listens
  waits.
* Death is noticed at once when the socket closes. A child of the task may hold the socket open, so
  the process is also looked at each ``LOOK_EVERY_NS``.
* Killing takes the process with all its descendants, then its process group, then what is in its
  groups of the kernel (``task_groups``), then every process whose environment carries the tag of
  this task; see ``process_tree``. One that a disk holds in the
  kernel dies when the disk answers; nobody waits for that longer than ``TASK_DEATH_NS``.
* A process that left others running when its attempt ended is not used again, and what else it
  left in its folder is removed before the next attempt.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns, sleep
from typing import IO

from dfs.errors import Unavailable
from dfs.limits import MS_NS, SECOND_NS
from mapreduce.limits import TASK_DEATH_NS
from mapreduce.worker.attempt_log import AttemptLog
from mapreduce.worker.channel import Channel, ChannelClosed
from mapreduce.worker.process_tree import (
    TAG_VARIABLE,
    end_family,
    end_group,
    end_orphans,
    end_tagged,
    family,
    memory_of,
    starting,
    task_pids,
    unlinked_bytes,
)
from mapreduce.worker.scratch import remove_tree, used_bytes
from mapreduce.worker.task_groups import TaskGroup, TaskGroups
from mapreduce.worker.task_messages import FromTask
from mapreduce.worker.whereabouts import ASK_SIGNAL, WHERE_FILE, read_where

LOOK_EVERY_NS = 500 * MS_NS
ASK_NS = 250 * MS_NS
_ASK_LOOKS = 50
_PIPE_BYTES = 64 << 10
_DRAIN_MAX = 16
_PROGRAM = ("-P", "-m", "mapreduce.worker.task_process")
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class TaskChild:
    """A running task process. ``start`` it in a thread that lives as long as the worker."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        channel: Channel[FromTask],
        folder: Path,
        group: TaskGroup | None = None,
    ) -> None:
        self._process = process
        self._channel = channel
        self._output: IO[bytes] | None = process.stdout
        assert process.stdout is not None
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(process.stdout.fileno(), select.POLLIN)
        self.folder = folder
        self.group = group or TaskGroup()
        self.tasks_begun = 0
        self._kept: set[str] = set()

    @classmethod
    def start(cls, folder: Path, groups: TaskGroups | None = None) -> TaskChild:
        """Start a process in its new private folder, whose path is also its tag."""
        folder.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs, starting():
            process = subprocess.Popen(
                (sys.executable, *_PROGRAM, str(theirs.fileno()), str(os.getpid())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                cwd=folder,
                env=_environment(folder),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
            task_pids.add(process.pid)
        group = groups.make(folder.name) if groups is not None else TaskGroup()
        group.add(process.pid)
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        channel: Channel[FromTask] = Channel(ours, FromTask)  # type: ignore[arg-type]
        return cls(process, channel, folder, group)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Has the process not ended yet?"""
        return self._process.poll() is None

    @property
    def channel(self) -> Channel[FromTask]:
        """The conversation with it."""
        return self._channel

    def receive(self, log: AttemptLog, within_ns: int | None = None) -> tuple[FromTask, bytearray]:
        """The next message, putting into ``log`` what is printed meanwhile.

        Raises ChannelClosed when the process has ended or hung up, Unavailable when it said
        nothing for ``within_ns``.
        """
        began_ns = monotonic_ns()
        while True:
            readable = [fd for fd, _ in self._poll.poll(LOOK_EVERY_NS // MS_NS)]
            self.drain(log)
            if self._channel.fileno() in readable:
                try:
                    return self._channel.receive()
                except ChannelClosed:
                    self._await_exit()
                    raise
            if not self.alive:
                self._channel.hang_up()
            if within_ns is not None and monotonic_ns() - began_ns >= within_ns:
                raise Unavailable(f"a task process said nothing for {within_ns / SECOND_NS:g} s")

    def drain(self, log: AttemptLog) -> None:
        """Take what was printed so far, or a good deal of it if there is ever more."""
        for _ in range(_DRAIN_MAX):
            if self._output is None:
                return
            try:
                data = os.read(self._output.fileno(), _PIPE_BYTES)
            except BlockingIOError:
                return
            if data:
                log.write(data)
            else:
                self._close_output()

    # What it takes, and what it leaves.

    def memory_bytes(self, enough_bytes: int) -> int:
        """What it and all that it started hold; see ``memory_of``."""
        return memory_of(family(self.pid), enough_bytes)

    def scratch_bytes(self, device: int) -> int:
        """What they have in the private folder, and in files without a name on that device."""
        return used_bytes(self.folder) + unlinked_bytes(family(self.pid), device)

    def ask_where(self) -> str:
        """Where in the task it is, in its own words; '' if it does not say so soon."""
        path = self.folder / WHERE_FILE
        self._process.send_signal(ASK_SIGNAL)
        for _ in range(_ASK_LOOKS):
            sleep(ASK_NS / _ASK_LOOKS / SECOND_NS)
            if path.exists():
                return read_where(path)
        return ""

    def job_is_open(self) -> None:
        """What is in the folder now stays from one attempt to the next."""
        self._kept = set(os.listdir(self.folder))

    def tidy(self) -> bool:
        """An attempt ended well: remove what it left in the folder. False when it left more, a
        running process, so that this one is not to be used again."""
        if family(self.pid)[1:]:
            return False
        for name in set(os.listdir(self.folder)) - self._kept:
            path = self.folder / name
            if path.is_dir() and not path.is_symlink():
                remove_tree(path)
            else:
                path.unlink()
        return True

    # Its end.

    def interrupt(self) -> None:
        """Let it do no more, and wake who waits for its messages; from any thread. It is stopped
        and not killed, so that what it started can be found when it is."""
        self._process.send_signal(signal.SIGSTOP)
        self._channel.hang_up()

    def kill(self) -> str:
        """End the process and all that it started; says how it ended, '' if this ended it."""
        by_itself, how = not self.alive, ""
        if not by_itself:
            end_family(self.pid)
        end_group(self.pid)
        try:
            status = self._process.wait(TASK_DEATH_NS / SECOND_NS)
            how = describe_exit(status) if by_itself else ""
            task_pids.discard(self.pid)
        except subprocess.TimeoutExpired:
            how = "was killed and does not die: the kernel holds it, perhaps for a disk that hangs"
        self.group.end()
        end_tagged(str(self.folder))
        end_orphans()
        self._channel.close()
        self._close_output()
        remove_tree(self.folder)
        return how

    def _await_exit(self) -> None:
        """A process that ends closes its socket a little before its status can be had."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LOOK_EVERY_NS / SECOND_NS)

    def _close_output(self) -> None:
        if self._output is not None:
            self._poll.unregister(self._output.fileno())
            self._output.close()
            self._output = None


def describe_exit(status: int) -> str:
    """How a process ended, from its return code."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    return f"was killed by signal {name}"


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": _PACKAGE_ROOT,
        "POLARS_MAX_THREADS": "1",
        TAG_VARIABLE: str(folder),
    }

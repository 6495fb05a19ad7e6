"""One task process as its worker holds it: started, listened to, and killed with all it started.

Rules of the file:

* A task gets a clean environment, its own session, one private folder as working directory and
  home, and one end of a socket pair; nothing else of the worker's.
* What it prints, and what its own children print, comes through one pipe and is cut at
  ``LOG_MAX_BYTES`` for each attempt. The pipe is drained while its attempt is listened to; a task
  that prints while nobody listens waits.
* Death is noticed at once when the socket closes. A child of the task may hold the socket open, so
  the process is also looked at each ``LOOK_EVERY_NS``.
* Killing takes the process group, then every process whose environment carries the tag of this
  task: a child that left the group inherited the tag. Looking for them is repeated until none is
  left, since a process can fork while it is looked for. One that a disk holds in the kernel dies
  when the disk answers; nobody waits for that longer than ``TASK_DEATH_NS``.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic_ns
from typing import IO

from dfs.errors import Unavailable
from dfs.limits import MIB, MS_NS, SECOND_NS
from mapreduce.limits import TASK_DEATH_NS
from mapreduce.worker.channel import Channel, ChannelClosed
from mapreduce.worker.task_messages import FromTask

TAG_VARIABLE = "MINIMR_TASK"
LOG_MAX_BYTES = 10 * MIB
LOG_TAIL_BYTES = 2000
LOOK_EVERY_NS = 500 * MS_NS
_SWEEPS_MAX = 20
_PIPE_BYTES = 64 << 10
_DRAIN_MAX = 16
_PROGRAM = ("-P", "-m", "mapreduce.worker.task_process")
_PACKAGE_ROOT = str(Path(__file__).parents[2])


class AttemptLog:
    """The file with what one attempt printed, cut at ``LOG_MAX_BYTES``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = path.open("wb", buffering=0)  # read while it grows
        self._room = LOG_MAX_BYTES

    def write(self, data: bytes) -> None:
        """Append what still fits; the first bytes that do not are replaced by a word."""
        if self._room <= 0:
            return
        self._file.write(data[: self._room])
        self._room -= len(data)
        if self._room <= 0:
            self._file.write(f"\n[cut here: over {LOG_MAX_BYTES} bytes]\n".encode())

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def tail(self) -> str:
        """The last printed lines."""
        self._file.flush()
        with self._path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()


class TaskChild:
    """A running task process. ``start`` it in a thread that lives as long as the worker."""

    def __init__(
        self, process: subprocess.Popen[bytes], channel: Channel[FromTask], folder: Path
    ) -> None:
        self._process = process
        self._channel = channel
        self._output: IO[bytes] | None = process.stdout
        assert process.stdout is not None
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(process.stdout.fileno(), select.POLLIN)
        self.folder = folder
        self.tasks_begun = 0

    @classmethod
    def start(cls, folder: Path) -> TaskChild:
        """Start a process in its new private folder, whose path is also its tag."""
        folder.mkdir(mode=0o700)
        ours, theirs = socket.socketpair()
        with theirs:
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
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        return cls(process, Channel(ours, FromTask), folder)  # type: ignore[arg-type]

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

    def interrupt(self) -> None:
        """Kill the process alone, and wake who waits for its messages; from any thread."""
        self._process.kill()
        self._channel.hang_up()

    def kill(self) -> str:
        """End the process and all that it started; says how it ended."""
        by_itself, how = not self.alive, "was killed by its worker"
        _kill_group(self.pid)
        try:
            status = self._process.wait(TASK_DEATH_NS / SECOND_NS)
            how = describe_exit(status) if by_itself else how
        except subprocess.TimeoutExpired:
            how = "was killed and does not die: the kernel holds it, perhaps for a disk that hangs"
        sweep(str(self.folder))
        self._channel.close()
        self._close_output()
        shutil.rmtree(self.folder, ignore_errors=True)
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
        "LANG": "C.UTF-8",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": _PACKAGE_ROOT,
        "POLARS_MAX_THREADS": "1",
        TAG_VARIABLE: str(folder),
    }


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # the group is empty
        os.killpg(pid, signal.SIGKILL)


def sweep(prefix: str) -> int:
    """Kill every process whose tag begins with ``prefix``; how many there were.

    Needs /proc; elsewhere only the process group is killed.
    """
    killed = 0
    for _ in range(_SWEEPS_MAX):
        found = list(_tagged(prefix))
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            break
        killed += len(found)
    return killed


def _tagged(prefix: str) -> Iterator[int]:
    """The living processes with such a tag, zombies left out: their environment is empty."""
    wanted = f"{TAG_VARIABLE}={prefix}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = entry.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended, or is somebody else's
        if any(v == wanted or v.startswith(wanted + b"/") for v in variables):
            yield int(entry.parent.name)

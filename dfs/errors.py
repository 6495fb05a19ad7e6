"""Every error a caller can see.

Each class states four things once, so that nobody decides them at a call site:

* ``number`` travels on the wire; numbers are written by hand and never reused.
* ``exit_code`` is what a command ends with (see the conventions in the README).
* ``definite`` tells whether the outcome is known. After an indefinite error the
  operation may or may not have happened; only the same request, repeated, tells.
* ``retry`` tells what a client may do: nothing, the same request again, or the
  same work on another node.

The text of an error is one line: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Retry(StrEnum):
    """What a client may do after an error without asking anybody."""

    NEVER = "never"
    SAME_REQUEST = "same_request"
    OTHER_NODE = "other_node"


class DfsError(Exception):
    """Base of all errors of minidfs. ``path`` is the DFS path or local file meant, or ''."""

    number: ClassVar[int] = 1
    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    definite: ClassVar[bool] = True
    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[type[DfsError], tuple[str, str]]:
        return type(self), (self.message, self.path)


class BadArgument(DfsError, ValueError):
    """The caller asked for something that no state could make possible."""

    number, code, exit_code = 2, "bad_argument", 2


class ConfigError(DfsError):
    """The configuration cannot be used; the message names file, line and remedy."""

    number, code, exit_code = 3, "config", 2


class NotFound(DfsError, FileNotFoundError):
    """No such file, directory, job or node."""

    number, code, exit_code = 4, "not_found", 3


class Exists(DfsError, FileExistsError):
    """The name is taken, by an entry or by a writer that reserved it."""

    number, code, exit_code = 5, "exists", 4


class NotADirectory(DfsError, NotADirectoryError):
    """A component of the path that must be a directory is a file."""

    number, code, exit_code = 6, "not_a_directory", 4


class IsADirectory(DfsError, IsADirectoryError):
    """A file is needed and the path is a directory."""

    number, code, exit_code = 7, "is_a_directory", 4


class NotEmpty(DfsError, OSError):
    """The directory has entries and the operation was not recursive."""

    number, code, exit_code = 8, "not_empty", 4


class PermissionDenied(DfsError, PermissionError):
    """The caller may not do this."""

    number, code, exit_code = 9, "permission", 6


class Refused(DfsError):
    """The other side is of another cluster, speaks another protocol or plays another role."""

    number, code, exit_code = 10, "refused", 6


class Unavailable(DfsError, ConnectionError):
    """Not now: the cluster does not answer, is in safe mode, or lacks nodes or space."""

    number, code, exit_code = 11, "unavailable", 5
    retry = Retry.SAME_REQUEST


class TooFewNodes(Unavailable):
    """Fewer datanodes can take a chunk than the write needs copies."""

    number, code = 12, "too_few_nodes"
    retry = Retry.NEVER


class DeadlineExceeded(DfsError, TimeoutError):
    """The time given for the operation is over and it certainly did not happen."""

    number, code, exit_code = 13, "deadline", 5


class OutcomeUnknown(DeadlineExceeded):
    """The time is over and the operation may have happened."""

    number, code = 14, "outcome_unknown"
    definite = False


class Corrupt(DfsError, OSError):
    """No replica with the right checksum could be read."""

    number, code, exit_code = 15, "corrupt", 7


class LeaseLost(DfsError):
    """The writer's lease ended; what it wrote is discarded and older content stays."""

    number, code, exit_code = 16, "lease_lost", 4


class SessionExpired(DfsError):
    """The namenode no longer knows the session; unanswered requests have unknown outcome."""

    number, code, exit_code = 17, "session_expired", 5
    definite = False


class ProtocolError(DfsError):
    """Bytes or messages that no honest peer of this version sends."""

    number, code = 18, "protocol"


class ReplicaFault(DfsError):
    """One datanode cannot serve one replica; another one may."""

    number, code = 19, "replica"
    retry = Retry.OTHER_NODE


class NotSupported(DfsError):
    """The peer does not know this message; it is older or newer than we are."""

    number, code = 20, "not_supported"


class JobFault(DfsError):
    """A job failed; ``message`` holds the first failing attempt's own traceback."""

    number, code, exit_code = 21, "job_failed", 10


class JobKilled(DfsError):
    """A job was killed on request."""

    number, code, exit_code = 22, "job_killed", 11


class StorageFault(DfsError, OSError):
    """A disk of this process failed (EIO, ENOSPC, a failed fsync)."""

    number, code, exit_code = 23, "storage", 1


class NoRoom(Unavailable):
    """The namenode's disk is nearly full; what frees space is still done."""

    number, code = 24, "no_room"
    retry = Retry.NEVER


class OlderMetadata(DfsError):
    """The namenode's metadata are older than its cluster, which has what they lack elsewhere."""

    number, code, exit_code = 25, "older_metadata", 7


def _subclasses(base: type[DfsError]) -> list[type[DfsError]]:
    found = [base]
    for child in base.__subclasses__():
        found += _subclasses(child)
    return found


BY_NUMBER: dict[int, type[DfsError]] = {cls.number: cls for cls in _subclasses(DfsError)}


def from_wire(number: int, message: str, path: str) -> DfsError:
    """The error that a peer named by number; an unknown number becomes a plain DfsError."""
    return BY_NUMBER.get(number, DfsError)(message, path)

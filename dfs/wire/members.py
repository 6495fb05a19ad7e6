"""Messages about whose key is whose."""

from __future__ import annotations

import msgspec

from dfs.events import Peer, Role
from dfs.wire.codec import Message, message


class MemberKey(msgspec.Struct, frozen=True, array_like=True):
    """A public key, and the role and name of the process or user whose it is."""

    key: bytes
    role: str
    name: str


@message(170)
class Enrol(Message, frozen=True):
    """Make these keys known. A node has one key: an older one of the same name is revoked.

    Sent by: admin. Answered by: Ok, BadArgument, Exists (a key that was revoked, or is
    another's), NotSupported (a cluster without keys). Harmless when repeated.
    """

    members: tuple[MemberKey, ...]


@message(171)
class MembersNow(Message, frozen=True):
    """All keys that may connect from now on, and nobody else's.

    Sent by: namenode, to each datanode and worker that speaks to it, and when there is a change.
    Not answered: it is said again on each new connection.
    """

    members: tuple[MemberKey, ...]

    def known(self) -> list[tuple[bytes, Peer]]:
        """Each key and whose it is."""
        return [(member.key, Peer(Role(member.role), member.name)) for member in self.members]

"""Whose key is whose: what the log has, and who has been told.

A member is a key with a role and a name. A node has one key, a user as many as he has machines.
The keys in the folder of the namenode's machine are enrolled when it starts, so that a new
cluster knows itself; the others are enrolled by an administrator. A key that was revoked stays
in its row, as such, and is never enrolled again.

Datanodes and workers refuse strangers too, so each is told all members with the first word that
it says on a connection, and again after each change: what was told is forgotten with the
connection. A change counts here as soon as it is decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dfs.errors import BadArgument, Exists, NotSupported, Refused
from dfs.events import Action, Now, Origin, Peer, Role, Send
from dfs.limits import MEMBER_NAME_MAX_BYTES, MEMBERS_MAX
from dfs.namenode import commands as c
from dfs.namenode.keys import MemberRow, get_row
from dfs.namenode.module import Command
from dfs.namenode.table import Table, scan_prefix
from dfs.security.keys import KEY_BYTES, key_text, split_key
from dfs.security.members import Members
from dfs.wire.members import Enrol, MemberKey, MembersNow

TOLD = frozenset({Role.DATANODE, Role.WORKER})
_SINGLE = frozenset({Role.NAMENODE, Role.DATANODE, Role.WORKER})
"""Roles whose processes have one key each."""


class Membership:
    """``members`` is shared with the transport, None where keys are not used; ``first`` is enrolled
    unless it is known."""

    def __init__(
        self, table: Table, members: Members | None = None, first: Sequence[MemberKey] = ()
    ) -> None:
        self._is_used = members is not None
        self._members = members = members if members is not None else Members()
        rows = [(key, get_row(table, "members", key, MemberRow)) for key in _keys(table)]
        living = [(key, Peer(Role(r.role), r.name)) for key, r in rows if r and not r.is_revoked]
        members.replace(living)
        known = {key for key, _ in rows}
        self._first = [member for member in first if member.key not in known]
        self._rows = len(rows)
        self._told: dict[int, int] = {}

    @property
    def has_first(self) -> bool:
        """Is there something for ``begin`` to do?"""
        return bool(self._first)

    def begin(self, table: Table, now: Now) -> list[Command]:
        """Enrol the keys of this machine."""
        first, self._first = self._first, []
        return self._enrol(table, first, now)

    def enrol(self, table: Table, message: Enrol, now: Now) -> list[Command]:
        """Enrol what an administrator names.

        Raises ``BadArgument``, ``Exists``, and ``NotSupported`` where keys are not used.
        """
        if not self._is_used:
            raise NotSupported("this cluster has no keys: [security] mode is none")
        for member in message.members:
            _check(member)
        return self._enrol(table, message.members, now)

    def tell(self, origin: Origin) -> list[Action]:
        """What a node that has said something is to know."""
        version = self._members.version
        is_news = origin.peer.role in TOLD and self._told.get(origin.link) != version
        if not (self._is_used and is_news):
            return []
        self._told[origin.link] = version
        known = tuple(MemberKey(key, peer.role.value, peer.name) for key, peer in self._members)
        return [Send(origin.peer, MembersNow(known))]

    def gone(self, link: int) -> None:
        """A connection has ended."""
        self._told.pop(link, None)

    def check_endpoints(self, peer: Peer, endpoints: Iterable[str]) -> None:
        """Raise ``Refused`` if a node names a key for itself that is not its own."""
        for endpoint in endpoints:
            try:
                _, key = split_key(endpoint)
            except BadArgument as error:
                raise Refused(f"{peer.name} registers with a key that is none") from error
            if self._is_used and key is not None and self._members.find(key) != peer:
                raise Refused(
                    f"{peer.name} registers with a key that is not enrolled as its own: enrol it"
                    " with 'minidfs join', or restore the key that it had"
                )

    def _enrol(self, table: Table, new: Iterable[MemberKey], now: Now) -> list[Command]:
        commands: list[Command] = []
        for member in new:
            peer = Peer(Role(member.role), member.name)
            row = get_row(table, "members", member.key, MemberRow)
            if row is not None and (row.is_revoked or (row.role, row.name) != peer):
                raise Exists(_taken(member, row))
            if row is not None:
                continue
            older = self._members.keys_of(peer) if peer.role in _SINGLE else []
            commands += [c.MemberRevoked(key, now.wall_ns) for key in older]
            commands.append(
                c.MemberEnrolled(member.key, member.role, member.name, now.wall_ns),
            )
        enrolled = sum(isinstance(command, c.MemberEnrolled) for command in commands)
        if self._rows + enrolled > MEMBERS_MAX:
            raise BadArgument(f"a cluster has up to {MEMBERS_MAX} keys, revoked ones included")
        self._rows += enrolled
        for command in commands:
            if isinstance(command, c.MemberEnrolled):
                self._members.enrol(command.key, Peer(Role(command.role), command.name))
            elif isinstance(command, c.MemberRevoked):
                self._members.revoke(command.key)
        return commands


def _keys(table: Table) -> list[bytes]:
    return [key for key, _ in scan_prefix(table, "members", b"", b"\0")]


def _check(member: MemberKey) -> None:
    if len(member.key) != KEY_BYTES:
        raise BadArgument(f"{member.name!r}: a key has {KEY_BYTES} bytes and not {len(member.key)}")
    if member.role not in tuple(Role):
        raise BadArgument(f"{member.role!r} is not a role: one of {', '.join(Role)}")
    if not member.name.isprintable() or not 0 < len(member.name.encode()) <= MEMBER_NAME_MAX_BYTES:
        raise BadArgument(f"{member.name[:MEMBER_NAME_MAX_BYTES]!r} is not a name")


def _taken(member: MemberKey, row: MemberRow) -> str:
    if row.is_revoked:
        return f"the key {key_text(member.key)} of {row.name} was revoked: make a new one"
    return f"the key {key_text(member.key)} is that of {row.name} ({row.role})"

"""What a process proves itself with, and whom it lets in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dfs.security.keys import KeyPair, with_key
from dfs.security.members import Members


@dataclass(frozen=True, slots=True)
class Credentials:
    """A process's own key pair, and the members that may connect to it (a client has none)."""

    pair: KeyPair
    members: Members = field(default_factory=Members)


def own_endpoints(endpoints: Iterable[str], credentials: Credentials | None) -> tuple[str, ...]:
    """What others are told: the endpoints, with the key that is proved there."""
    if credentials is None:
        return tuple(endpoints)
    return tuple(with_key(endpoint, credentials.pair.public) for endpoint in endpoints)

"""What a process proves itself with, and whom it lets in."""

from __future__ import annotations

from dataclasses import dataclass, field

from dfs.security.keys import KeyPair
from dfs.security.members import Members


@dataclass(frozen=True, slots=True)
class Credentials:
    """A process's own key pair, and the members that may connect to it (a client has none)."""

    pair: KeyPair
    members: Members = field(default_factory=Members)

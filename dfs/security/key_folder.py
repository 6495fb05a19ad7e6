"""The keys of this machine: one file for each process and for the user, in a folder of ours alone.

::

    minidfs key
    format 1
    role datanode
    name datanode-1
    public 9uQk0s0h…
    secret mZ4d…
    check 4b8e…

A secret half never leaves its machine. The folder has mode 0700 and each file 0600; one that
others may read is refused, because nobody knows who has read it. What is there is never
overwritten.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from dfs.config import Config
from dfs.config.kinds import WITHOUT_KEYS
from dfs.disk import LocalDisk, write_whole
from dfs.errors import BadArgument, ConfigError, Corrupt, NotSupported, Refused
from dfs.events import NAMENODE, Peer, Role
from dfs.label import Kind, parse, render
from dfs.security.credentials import Credentials
from dfs.security.keys import KeyPair, key_text, parse_key
from dfs.security.members import Members

USER_FILE = "user"
ADMIN = Peer(Role.ADMIN, "admin")
_SUFFIX = ".key"
_FILE_MAX_BYTES = 4096
_REMEDY = "bring it back from a copy, or remove it and have a new one made with 'minidfs join'"
_KIND = Kind("minidfs key", 1, _REMEDY)


class KeyFolder:
    """``keys`` in the home of a cluster."""

    def __init__(self, home: Path) -> None:
        self.path = home / "keys"

    def make(self, peer: Peer, new_pair: Callable[[], KeyPair]) -> KeyPair:
        """The keys of ``peer``; made unless they are there. Raises as ``load`` does."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        if not self._file(peer).exists():
            pair = new_pair()
            fields: dict[str, int | str] = {
                "role": peer.role.value,
                "name": peer.name,
                "public": key_text(pair.public),
                "secret": key_text(pair.secret),
            }
            write_whole(LocalDisk(self.path), self._file(peer).name, render(_KIND, fields))
        return self.load(peer)

    def has(self, peer: Peer) -> bool:
        """Are there keys of ``peer``?"""
        return self._file(peer).exists()

    def load(self, peer: Peer) -> KeyPair:
        """The keys of ``peer``; raises ConfigError."""
        owner, pair = self._read(self._file(peer))
        if peer.role is not Role.CLIENT and owner != peer:
            raise ConfigError(
                f"{self._file(peer)} has the key of {owner.name} ({owner.role}) and not of"
                f" {peer.name} ({peer.role}): put the right one there",
                str(self._file(peer)),
            )
        return pair

    def public(self) -> list[tuple[Peer, bytes]]:
        """Whose keys are here; the public halves, by file name. Raises ConfigError."""
        files = sorted(self.path.glob(f"*{_SUFFIX}")) if self.path.is_dir() else []
        return [(peer, pair.public) for peer, pair in map(self._read, files)]

    def _file(self, peer: Peer) -> Path:
        name = USER_FILE if peer.role is Role.CLIENT else peer.name
        return self.path / f"{name}{_SUFFIX}"

    def _read(self, path: Path) -> tuple[Peer, KeyPair]:
        where = str(path)
        for found in (self.path, path):
            _refuse_open_to_others(found)
        try:
            with path.open("rb") as file:
                content = file.read(_FILE_MAX_BYTES)
            label = parse(_KIND, content, where)
            peer = Peer(Role(label.text("role")), label.text("name"))
            secret, public = parse_key(label.text("secret")), parse_key(label.text("public"))
        except (BadArgument, Corrupt, NotSupported, Refused) as error:
            raise ConfigError(error.message, where) from None
        except OSError as error:
            raise ConfigError(f"{where}: cannot be read: {error.strerror}", where) from error
        except ValueError as error:
            raise ConfigError(f"{where}: {error}: {_REMEDY}", where) from None
        return peer, KeyPair(public, secret)


def _refuse_open_to_others(path: Path) -> None:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file: 'minidfs up' and 'minidfs init' make the keys of a new cluster,"
            " 'minidfs join LINE' those of another machine",
            str(path),
        ) from None
    mode = 0o700 if stat.S_ISDIR(found.st_mode) else 0o600
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{path} can be read by others, who may have the secrets in it: take their access"
            f" away (chmod {mode:o}), and have new keys made if that was not meant",
            str(path),
        )


def namenode_key(config: Config, home: Path) -> bytes | None:
    """The key that the namenode proves: the configured one, or on its own machine its own.

    None where keys are not used, or it is not known. Raises ConfigError.
    """
    if config.security.mode == WITHOUT_KEYS:
        return None
    folder = KeyFolder(home)
    if config.namenode.key is None and folder.has(NAMENODE):
        return folder.load(NAMENODE).public
    return config.namenode.key


def daemon_credentials(config: Config, home: Path, peer: Peer) -> Credentials | None:
    """What a daemon proves itself with; at first it knows the namenode alone.

    None where keys are not used. Raises ConfigError.
    """
    if config.security.mode == WITHOUT_KEYS:
        return None
    members, key = Members(), namenode_key(config, home)
    if key is not None:
        members.enrol(key, NAMENODE)
    return Credentials(KeyFolder(home).load(peer), members)


def user_credentials(config: Config, home: Path, peer: Peer) -> Credentials | None:
    """What a person's command proves itself with, if there is anything. Raises ConfigError."""
    folder = KeyFolder(home)
    if config.security.mode == WITHOUT_KEYS or not folder.has(peer):
        return None
    return Credentials(folder.load(peer))

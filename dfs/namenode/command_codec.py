"""Commands to the bytes in a log record and back.

What a log holds was written by this program or an older one, so nothing in it may be
guessed at: an unknown module, tag, version or field stops the start by name instead of
being skipped, as it would be in a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from dfs.errors import Corrupt, NotSupported
from dfs.namenode.module import Command, Module

_encoder = msgspec.msgpack.Encoder()
_outer = msgspec.msgpack.Decoder(list[tuple[str, int, int, msgspec.Raw]])


class _Known(NamedTuple):
    cls: type[Command]
    decoder: msgspec.msgpack.Decoder[Any]


class CommandCodec:
    """The commands of a process's modules."""

    def __init__(self, modules: tuple[Module, ...]) -> None:
        self._heads: dict[type[Command], tuple[str, int, int]] = {}
        self._known: dict[str, dict[int, _Known]] = {}
        for module in modules:
            assert module.name not in self._known, f"two modules are called {module.name}"
            known = self._known[module.name] = {}
            for cls in module.commands:
                assert cls.TAG not in known, f"{module.name} has two commands with tag {cls.TAG}"
                self._heads[cls] = (module.name, cls.TAG, cls.VERSION)
                known[cls.TAG] = _Known(cls, msgspec.msgpack.Decoder(cls))

    def encode(self, commands: Sequence[Command]) -> bytes:
        """The payload of the record in which these commands stand together."""
        heads = self._heads
        return _encoder.encode([(*heads[type(command)], command) for command in commands])

    def decode(self, payload: bytes, place: str) -> list[Command]:
        """The commands of a record; ``place`` says in errors where it stands.

        Raises ``NotSupported`` for what only another version of this program knows, and
        ``Corrupt`` for bytes that no version wrote.
        """
        try:
            rows = _outer.decode(payload)
        except msgspec.DecodeError as error:
            raise Corrupt(f"{place} holds no commands: {error}") from None
        return [self._decode_one(*row, place) for row in rows]

    def _decode_one(
        self, module: str, tag: int, version: int, fields: msgspec.Raw, place: str
    ) -> Command:
        known = self._known.get(module)
        if known is None:
            have = ", ".join(self._known)
            raise NotSupported(
                f"{place} holds a command of module {module!r} and this program was started "
                f"with {have} only; start it with {module!r} too"
            )
        found = known.get(tag)
        if found is None or not 1 <= version <= found.cls.VERSION:
            what = f"tag {tag}" if found is None else f"{found.cls.__name__} version {version}"
            raise NotSupported(
                f"{place} holds a command that this program does not know, {what} of module "
                f"{module!r}; start the version of the program that wrote it, or a newer one"
            )
        try:
            command: Command = found.decoder.decode(fields)
        except msgspec.DecodeError as error:
            raise NotSupported(
                f"{place} holds a {found.cls.__name__} of module {module!r} whose fields this "
                f"program does not know ({error}); start the version that wrote it"
            ) from None
        return command

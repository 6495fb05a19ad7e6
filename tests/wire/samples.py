"""One sample of each message and command, built from the types of their fields.

The golden files hold the bytes of the samples. What stands there is decoded for ever:
a changed line means that old peers or old logs are not understood any more. A new
message is added with ``python -m tests.wire.samples``.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import types
import typing
from pathlib import Path
from typing import Any

import msgspec

import dfs.wire
import mapreduce.commands
import mapreduce.wire
from dfs.namenode.apply import MODULE
from dfs.namenode.command_codec import CommandCodec
from dfs.wire.codec import Message, encode, known_messages

GOLDEN = Path(__file__).parents[1] / "golden"
MODULES = (MODULE, mapreduce.commands.MODULE)
PACKAGES = (dfs.wire, mapreduce.wire)
"""Where the messages of the product stand; tests make others."""


def sample_of(kind: Any) -> Any:
    """A value of a type, the same every time and different from its default."""
    simple = {bool: True, int: 7, float: 0.5, str: "text", bytes: b"\x01\x02", types.NoneType: None}
    if kind in simple:
        return simple[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return sample_of(next(a for a in arguments if a is not types.NoneType))
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        members = [a for a in arguments if a is not Ellipsis]
        return tuple(sample_of(a) for a in members)
    if origin is dict:
        return {sample_of(arguments[0]): sample_of(arguments[1])}
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        return kind(*(sample_of(hints[name]) for name in kind.__struct_fields__))
    if isinstance(kind, type) and hasattr(kind, "__members__"):
        return next(iter(kind.__members__.values()))
    raise AssertionError(f"no sample for {kind!r}: teach sample_of about it")


def messages() -> dict[str, Message]:
    """A sample of every message, by tag and name."""
    modules = {
        module.name
        for package in PACKAGES
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}.")
    }
    for module in modules:
        importlib.import_module(module)
    known = sorted(known_messages().items())
    return {
        f"{tag} {cls.__name__}": sample_of(cls) for tag, cls in known if cls.__module__ in modules
    }


def commands() -> dict[str, Any]:
    """A sample of every command, by module, tag, version and name."""
    return {
        f"{module.name} {cls.TAG} v{cls.VERSION} {cls.__name__}": sample_of(cls)
        for module in MODULES
        for cls in module.commands
    }


def message_bytes() -> dict[str, str]:
    """What the samples look like on the wire, request number 9."""
    return {name: encode(message, 9)[0].hex() for name, message in messages().items()}


def command_bytes() -> dict[str, str]:
    """What the samples look like in the log."""
    codec = CommandCodec(MODULES)
    return {name: codec.encode([command]).hex() for name, command in commands().items()}


def add_new() -> None:
    """Add what is missing to the golden files; what stands there is left alone."""
    for file, now in (("messages.json", message_bytes()), ("commands.json", command_bytes())):
        path = GOLDEN / file
        before = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**now, **before}, indent=1) + "\n")
        sys.stdout.write(f"{file}: {len(now.keys() - before.keys())} added\n")


if __name__ == "__main__":
    add_new()

"""Labels: a few lines of text that say what they are, and a checksum.

::

    minidfs epoch               the kind
    format 1                    of this kind
    epoch 7                     fields: a name, a blank, and the value to the end of the line
    check 5d5a5d8bca8e3a25      xxh3-64 of all bytes before this line, in hex

The checksum is looked at first. Without the right one a file is damaged, whatever it says, and
nothing in it is believed. Its line is the last one in every format of every kind, so that
a newer format is told from damage.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import xxhash

from dfs.errors import Corrupt, NotSupported, Refused

_CHECK = re.compile(rb"check ([0-9a-f]{16})\n")
_CHECK_BYTES = len("check \n") + 16


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of label: its first line, the format that is written and the newest that is
    read, and what to do when one is damaged."""

    title: str
    format: int
    remedy: str


@dataclass(frozen=True, slots=True)
class Label:
    """What a sound one says. ``where`` is its name for people."""

    kind: Kind
    where: str
    fields: dict[str, str]

    def text(self, name: str) -> str:
        """The value of a field. Raises ``Corrupt``."""
        value = self.fields.get(name)
        if value is None:
            raise _damaged(self.kind, self.where)
        return value

    def number(self, name: str) -> int:
        """The value of a field that is a number, at least 0. Raises ``Corrupt``."""
        value = self.text(name)
        if not (value.isascii() and value.isdecimal()):
            raise _damaged(self.kind, self.where)
        return int(value)


def render(kind: Kind, fields: Mapping[str, object]) -> bytes:
    """The bytes of a file with these fields."""
    lines = [kind.title, f"format {kind.format}", *(f"{n} {value}" for n, value in fields.items())]
    assert not any("\n" in line for line in lines), lines
    text = "".join(f"{line}\n" for line in lines).encode()
    return text + b"check %s\n" % _checksum(text)


def parse(kind: Kind, content: bytes, where: str) -> Label:
    """What a file says; ``where`` is its name for people.

    Raises ``Corrupt`` for a damaged one, ``Refused`` for one of another kind, ``NotSupported``
    for a newer format.
    """
    text, last = content[:-_CHECK_BYTES], content[-_CHECK_BYTES:]
    check = _CHECK.fullmatch(last)
    if check is None or check[1] != _checksum(text):
        raise _damaged(kind, where)
    title, *lines = text.decode(errors="replace").split("\n")
    if title != kind.title:
        raise Refused(f"{where} is another file ({title[:40]!r}): {kind.remedy}", where)
    found = Label(kind, where, dict(line.split(" ", 1) for line in lines if " " in line))
    if found.number("format") > kind.format:
        raise NotSupported(
            f"{where} has format {found.number('format')} and this minidfs knows {kind.format}:"
            " upgrade minidfs",
            where,
        )
    return found


def _checksum(text: bytes) -> bytes:
    return xxhash.xxh3_64_hexdigest(text).encode()


def _damaged(kind: Kind, where: str) -> Corrupt:
    return Corrupt(f"{where} is damaged: {kind.remedy}", where)

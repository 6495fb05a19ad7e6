"""What a copy of the view says about itself: the manifest of a snapshot or a backup.

A few lines of text beside the data, written last, so that what has a manifest is whole::

    minidfs snapshot
    format 1
    cluster c-3f2a9c
    index 81234
    view minidfs view 1, lmdb 0.9
    bytes 409600
    blake2b 6a09…

``index`` is the last record of the log that is in it; ``view`` names engine and format of the
data; ``blake2b`` is the BLAKE2b-256 of the data in hex.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from dfs.errors import Corrupt, NotSupported

FORMAT = 1
TITLE = "minidfs snapshot"
MANIFEST_MAX_BYTES = 4096
DIGEST_BYTES = 32

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module's text. ``digest`` in hex."""

    cluster: str
    index: int
    view: str
    data_bytes: int
    digest: str


def render(manifest: Manifest) -> bytes:
    """The text of a manifest."""
    lines = [
        TITLE,
        f"format {FORMAT}",
        f"cluster {manifest.cluster}",
        f"index {manifest.index}",
        f"view {manifest.view}",
        f"bytes {manifest.data_bytes}",
        f"blake2b {manifest.digest}",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def parse(text: bytes, where: str) -> Manifest:
    """The manifest in a text; ``where`` is its name for people.

    Raises ``Corrupt``, and ``NotSupported`` for a newer format.
    """
    title, *lines = text.decode(errors="replace").splitlines() or [""]
    fields = dict(line.split(" ", 1) for line in lines if " " in line)
    version = fields.get("format", "")
    if title != TITLE or not version.isdecimal():
        raise Corrupt(f"{where} is not the manifest of a snapshot: use another copy", where)
    if int(version) > FORMAT:
        raise NotSupported(
            f"{where} has format {version} and this program knows {FORMAT}: use the newer version",
            where,
        )
    index, size = fields.get("index", ""), fields.get("bytes", "")
    digest = fields.get("blake2b", "")
    if not (index.isdecimal() and size.isdecimal() and _DIGEST.fullmatch(digest)):
        raise Corrupt(f"{where} is damaged: use another copy", where)
    return Manifest(
        fields.get("cluster", ""), int(index), fields.get("view", ""), int(size), digest
    )

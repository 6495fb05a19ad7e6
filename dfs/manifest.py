"""What a copy of the view says about itself: the manifest of a snapshot or a backup.

A label (``dfs.label``) beside the data, written last, so that what has a manifest is
whole::

    minidfs snapshot
    format 1
    cluster c-3f2a9c
    index 81234
    view minidfs view 1, lmdb 0.9
    bytes 409600
    blake2b 6a09…
    check 5d5a…

``index`` is the last record of the log that is in it; ``view`` names engine and format of the
data; ``blake2b`` is the BLAKE2b-256 of the data in hex.
"""

from __future__ import annotations

from dataclasses import dataclass

from dfs import label
from dfs.errors import Corrupt, Refused

KIND = label.Kind("minidfs snapshot", 1, "use another snapshot or backup")
MANIFEST_MAX_BYTES = 4096
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Manifest:
    """See the module's text. ``digest`` in hex."""

    cluster: str
    index: int
    view: str
    data_bytes: int
    digest: str


def render(manifest: Manifest) -> bytes:
    """The bytes of a manifest."""
    fields = {
        "cluster": manifest.cluster,
        "index": manifest.index,
        "view": manifest.view,
        "bytes": manifest.data_bytes,
        "blake2b": manifest.digest,
    }
    return label.render(KIND, fields)


def parse(content: bytes, where: str) -> Manifest:
    """The manifest in the bytes of a file; ``where`` is its name for people.

    Raises ``Corrupt``, also for a file that is none, and ``NotSupported`` for a newer format.
    """
    try:
        found = label.parse(KIND, content, where)
    except Refused as error:
        raise Corrupt(error.message, where) from error
    return Manifest(
        found.text("cluster"),
        found.number("index"),
        found.text("view"),
        found.number("bytes"),
        found.text("blake2b"),
    )

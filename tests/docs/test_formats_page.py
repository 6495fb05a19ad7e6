"""docs/formats.md against the code: every table, and the examples in hex."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dfs.checksum import chunk_digest, slice_hashes
from dfs.datanode.chunkfile import Footer, ReplicaKey, encode_footer, encode_header
from dfs.datanode.chunkfile import Header as ChunkHeader
from dfs.log_format import FORMAT, Header, pack_header, pack_record
from dfs.namenode import keys
from dfs.namenode.apply import MODULE
from dfs.namenode.command_codec import CommandCodec
from dfs.namenode.commands import Formatted, SessionStarted
from dfs.namenode.keys import EntryRow, entry_key, pack_row

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
PAGE = (ROOT / "docs" / "formats.md").read_text()
ROWS = {
    "entries": keys.EntryRow,
    "inodes": keys.InodeRow,
    "chunks": keys.ChunkRow,
    "owners": keys.OwnerRow,
    "leases": keys.LeaseRow,
    "nodes": keys.NodeRow,
    "members": keys.MemberRow,
}


def test_every_table_is_there_with_its_fields() -> None:
    for table in keys.TABLES:
        assert re.search(rf"^\| {table} \|", PAGE, re.MULTILINE), table
    for table, row in ROWS.items():
        fields = ", ".join(row.__struct_fields__)
        assert re.search(rf"^\| {table} \| [^|]+ \| {fields} \|$", PAGE, re.MULTILINE), table


def test_the_row_of_the_example_is_what_the_code_writes() -> None:
    assert f"`{pack_row(EntryRow(2, True, 7)).hex()}`" in PAGE
    assert f"`{entry_key(1, 'a').hex()}`" in PAGE


def dump(heading: str) -> dict[int, bytes]:
    """The lines of the first hex dump behind a heading: offset to bytes."""
    block = PAGE.split(heading, 1)[1].split("```")[1]
    lines = re.findall(r"^([0-9a-f]{4})  ((?:[0-9a-f]{2} {1,2}){1,16})", block, re.MULTILINE)
    return {int(offset, 16): bytes.fromhex(data) for offset, data in lines}


def assert_found_in(lines: dict[int, bytes], data: bytes) -> None:
    assert lines
    for offset, expected in lines.items():
        assert data[offset : offset + len(expected)] == expected, hex(offset)


def test_the_log_of_the_example_is_what_the_code_writes() -> None:
    codec = CommandCodec((MODULE,))
    header = pack_header(Header(FORMAT, 1, 1, 0, "c-3f2a9c"))
    first, check = pack_record(1, 0, 0, codec.encode([Formatted("anna", 1763704263000000000)]))
    started = codec.encode([SessionStarted("anna", 1763704264000000000)])
    second, _ = pack_record(2, 1, check, started)
    assert_found_in(dump("first 232 bytes of the log"), header + first + second)


def test_the_chunk_of_the_example_is_what_the_code_writes() -> None:
    key, data = ReplicaKey(0x1234, 2), b"hello world\n"
    hashes = slice_hashes(data)
    digest = chunk_digest("c-demo", 0x1234, 2, len(data), hashes)
    header = encode_header(ChunkHeader("c-demo", key, 7, 65536, "/a/b.txt"))
    footer = encode_footer(Footer(key, len(data), digest, hashes))
    whole = header + data + footer
    assert len(whole) == 4180
    assert_found_in(dump("Chunk 0x1234"), whole)


def test_the_run_of_the_example_is_the_golden_one() -> None:
    assert_found_in(dump("map 7 with two partitions"), (GOLDEN / "run-1.bin").read_bytes())


def test_the_labels_of_the_examples_are_the_golden_ones() -> None:
    golden = json.loads((GOLDEN / "labels.json").read_text())
    for name in ("EPOCH", "VERSION", "manifest", "local"):
        assert "```\n" + "".join(f"{line}\n" for line in golden[name]) + "```" in PAGE, name
    for lines in golden.values():
        (row,) = [r for r in PAGE.splitlines() if r.startswith("|") and f"`{lines[0]}`" in r]
        fields = [line.partition(" ")[0] for line in lines[2:-1] if "-1 " not in line[:12]]
        assert all(f"`{field}`" in row for field in fields), row

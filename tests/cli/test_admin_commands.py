"""The commands of whoever looks after a cluster: usage errors, and how answers are shown."""

from __future__ import annotations

import msgspec
import pytest

from cli.admin.fsck import Findings
from cli.admin.group import AdminGroup
from cli.admin.report import report_fields, report_lines, used_and_free
from cli.admin.standing import chunk_fields, replica_list
from cli.files.df import percent
from cli.files.du import sums
from dfs.wire.admin import (
    ChunkStanding,
    FolderUsage,
    NodeReport,
    ReplicaStanding,
    Report,
    TableProblem,
    UsagePage,
)
from dfs.wire.node import DiskRoom
from tests.cli.shell import Shell


@pytest.mark.parametrize("verb", AdminGroup.verbs)
def test_each_verb_has_help(shell: Shell, verb: str) -> None:
    ended = shell.minidfs("admin", verb, "--help")
    assert ended.code == 0
    assert f"Usage: minidfs admin {verb}" in ended.out
    assert "--cluster FILE" in ended.out


@pytest.mark.parametrize(
    "command",
    [
        ("admin", "frob"),
        ("admin", "chunks"),
        ("admin", "safemode"),
        ("admin", "safemode", "on"),
        ("admin", "fsck", "/a", "/b"),
        ("admin", "verify", "/a"),
        ("df", "/a"),
        ("events", "-x"),
    ],
)
def test_wrong_use_is_one_line(shell: Shell, command: tuple[str, ...]) -> None:
    ended = shell.minidfs(*command)
    assert (ended.code, ended.err.count("\n")) == (2, 1)


@pytest.mark.parametrize("command", ["admin fsck", "admin report", "df", "du", "events"])
def test_without_a_cluster_they_say_how_to_start_one(shell: Shell, command: str) -> None:
    ended = shell.minidfs(*command.split())
    assert (ended.code, ended.err.count("\n")) == (5, 1)
    assert "minidfs up" in ended.err


def standing(*states: str, length: int = 5) -> ChunkStanding:
    replicas = tuple(ReplicaStanding(f"datanode-{n}", s) for n, s in enumerate(states, 1))
    return ChunkStanding("/a", 0, 7, 1, length, 3, replicas)


def test_a_chunk_in_words_and_as_json() -> None:
    chunk = standing("good", "dead")
    assert replica_list(chunk) == "datanode-1, datanode-2 (dead)"
    assert replica_list(standing()) == "none"
    assert chunk_fields(chunk) == {
        "path": "/a",
        "offset": 0,
        "chunk": 7,
        "generation": 1,
        "size": 5,
        "replicas": [
            {"node": "datanode-1", "state": "good"},
            {"node": "datanode-2", "state": "dead"},
        ],
    }


def test_what_is_missing_and_what_is_short() -> None:
    found = [standing("good", "good"), standing("dead", "corrupt"), standing("good"), standing()]
    findings = Findings(rows=3, files=2, chunks=4, size=2048, found=[*found, standing(length=0)])
    assert findings.short == [found[0], found[2]]
    assert findings.missing == [found[1], found[3]]
    assert not findings.is_sound
    assert findings.summary() == [
        "metadata: 3 rows, sound",
        "files: 2, 2.0K in 4 chunks; with too few copies: 2, without any: 2",
    ]


def test_short_of_copies_is_sound_and_a_problem_of_the_metadata_is_not() -> None:
    assert Findings(found=[standing("good")]).is_sound
    findings = Findings(rows=1, problems=[TableProblem(5, "entries[00]", "it is so")])
    assert not findings.is_sound
    assert findings.summary()[0] == "metadata: 1 row, 1 problem"
    assert findings.fields()["problems"] == [
        {"number": 5, "place": "entries[00]", "text": "it is so"}
    ]


REPORT = Report(
    cluster="c1",
    state="degraded",
    reasons=("datanode-2 is dead",),
    nodes=(
        NodeReport(
            "datanode-1",
            "live",
            "m1:b",
            "r1",
            500_000_000,
            1024,
            3072,
            4,
            (),
            (DiskRoom("8", 3072),),
        ),
        NodeReport("datanode-2", "dead"),
    ),
    safe_mode="",
    log_index=9,
    log_copies=1,
    log_copies_wanted=2,
    replication=3,
    chunks=4,
    under_replicated=4,
)


def test_the_report() -> None:
    assert report_lines(REPORT) == [
        "cluster c1: degraded",
        "  datanode-2 is dead",
        "room: 4.0K, used 1.0K, free 3.0K",
        "chunks: 4; with too few copies: 4, without any: 0, with too many: 0",
        "replicas: 0 being copied, 0 being deleted, 0 of no file, 0 in quarantine",
        "safe mode: off",
        "log: records 1 to 9, on 1 of 2 machines",
        "snapshot: none yet",
        "NODE        STATE  HOST  RACK      HEARD  USED  FREE  REPLICAS  FAILED",
        "datanode-1  live   m1    r1    0.5 s ago  1.0K  3.0K         4",
        "datanode-2  dead                   never     0     0         0",
    ]


@pytest.mark.parametrize(
    ("age_ns", "shown"),
    [(-1, "from before the namenode started"), (2_500_000_000, "2.5 s ago")],
)
def test_the_report_of_a_log_that_was_cut(age_ns: int, shown: str) -> None:
    cut = msgspec.structs.replace(REPORT, log_begins=5, snapshot=7, snapshot_age_ns=age_ns)
    lines = report_lines(cut)
    assert "log: records 5 to 9, on 1 of 2 machines" in lines
    assert f"snapshot: up to record 7, {shown}" in lines


def test_the_report_as_json() -> None:
    fields = report_fields(REPORT)
    assert (fields["capacity"], fields["used"], fields["free"]) == (4096, 1024, 3072)
    assert (fields["safe_mode"], fields["under_replicated"]) == (None, 4)
    first, second = fields["nodes"]
    assert (first["silent_ms"], second["silent_ms"]) == (500, None)
    assert (fields["log_begins"], fields["snapshot"], fields["snapshot_age_ms"]) == (1, None, None)


def node(name: str, host: str, *disks: DiskRoom, state: str = "live") -> NodeReport:
    free_bytes = sum(disk.free_bytes for disk in disks)
    return NodeReport(name, state, host, "r", 0, 100, free_bytes, 1, (), disks)


def test_a_disk_that_nodes_of_a_host_share_counts_once() -> None:
    nodes = (
        node("datanode-1", "m1:b", DiskRoom("8", 1000), DiskRoom("9", 50)),
        node("datanode-2", "m1:b", DiskRoom("8", 990)),
        node("datanode-3", "m2:b", DiskRoom("8", 300)),
        node("datanode-4", "m3:b", DiskRoom("8", 7000), state="dead"),
    )
    report = msgspec.structs.replace(REPORT, nodes=nodes)
    assert used_and_free(report) == (300, 990 + 50 + 300)
    assert [n["free"] for n in report_fields(report)["nodes"]] == [1050, 990, 300, 7000]


@pytest.mark.parametrize(
    ("used", "free", "shown"), [(0, 0, 0), (0, 5, 0), (1, 999, 1), (1, 1, 50), (5, 0, 100)]
)
def test_use_is_rounded_up(used: int, free: int, shown: int) -> None:
    assert percent(used, free) == shown


def test_directories_add_up_from_below_across_pages() -> None:
    pages = [
        UsagePage((FolderUsage("/", 0, 1, 0, 0), FolderUsage("/a", 1, 1, 10, 30)), True, "/a/x"),
        UsagePage((FolderUsage("/a", 1, 0, 1, 3), FolderUsage("/a/b", 1, 1, 5, 5)), True, "/a/b"),
        UsagePage((FolderUsage("/a", 1, 0, 2, 2), FolderUsage("/ab", 0, 1, 0, 0)), False),
    ]
    assert list(sums(pages, total=False)) == [
        FolderUsage("/a/b", 1, 1, 5, 5),
        FolderUsage("/a", 4, 2, 18, 40),
        FolderUsage("/ab", 0, 1, 0, 0),
        FolderUsage("/", 4, 4, 18, 40),
    ]
    assert list(sums(pages, total=True)) == [FolderUsage("/", 4, 4, 18, 40)]

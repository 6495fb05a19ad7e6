"""What ``minidfs admin verify`` says of nodes that did not read all they hold."""

from __future__ import annotations

import json

import pytest

from cli.admin.fsck import Findings
from cli.admin.verify import ALL_SEEN, Reading, exit_code, show
from cli.invocation import Invocation
from dfs.wire.admin import TableProblem, Verifying

WHY = "datanode-2 waits for /disk2: it has read no replica for 30 s"


def readings() -> list[Reading]:
    """One node that read all, and one that left 3 of its 20 unread in this verification."""
    good, hanging = Reading("datanode-1"), Reading("datanode-2")
    assert good.heard(Verifying(20, 20, 1, ALL_SEEN, 5, "long ago"))
    assert not good.heard(Verifying(0, 20, 1, ALL_SEEN, 5, "long ago"))
    assert good.heard(Verifying(0, 0, 2, ALL_SEEN, 5, "long ago"))
    assert hanging.heard(Verifying(16, 16, 0, 9, 2, "long ago"))
    assert hanging.heard(Verifying(4, 1, 0, ALL_SEEN, 5, WHY))
    assert not hanging.is_done
    assert hanging.heard(Verifying(0, 0, 0, ALL_SEEN, 5, WHY))
    return [good, hanging]


def test_replicas_that_were_not_read_are_named_with_their_node_and_disk(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(Invocation("minidfs"), readings(), Findings(rows=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        f"datanode-2: not answered for 3 replicas: {WHY}",
        "read 37 replicas on 2 nodes: 1 bad",
    ]


def test_programs_are_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    show(Invocation("minidfs", json=True), readings(), Findings(rows=1))
    fields = json.loads(capsys.readouterr().out)
    assert (fields["read"], fields["bad"], fields["lost_nodes"]) == (37, 1, [])
    assert fields["not_answered"] == {"datanode-2": {"replicas": 3, "why": WHY}}


def test_the_exit_code_tells_what_is_worst() -> None:
    whole, damaged = Findings(rows=1), Findings(rows=1, problems=[TableProblem(1, "a", "b")])
    good, hanging = readings()
    assert exit_code([good], whole) == 0
    assert exit_code([good, hanging], whole) == 5
    assert exit_code([good, Reading("datanode-3", is_lost=True)], whole) == 5
    assert exit_code([hanging], damaged) == 7


def test_a_namenode_that_began_again_has_forgotten_what_was_not_read() -> None:
    reading = Reading("datanode-1", before=Verifying(16, 16, 0, 9, 5, WHY))
    reading.heard(Verifying(4, 1, 0, ALL_SEEN, 0, ""))
    assert (reading.unread, reading.why_unread) == (0, "")

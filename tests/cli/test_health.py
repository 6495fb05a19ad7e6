"""One picture from pid files and the namenode's answers."""

from __future__ import annotations

import pytest

from cli.cluster.health import Answers, ClusterHealth, Here, assess
from dfs.errors import Unavailable
from dfs.wire.namespace import NodeStatus, Status

ALL = ("datanode-1", "worker-1", "datanode-2", "worker-2")
PIDS = {"namenode": 1, "datanode-1": 11, "worker-1": 12, "datanode-2": 21, "worker-2": 22}


def node(name: str, state: str = "live") -> NodeStatus:
    endpoints = (f"ipc:///run/{name}.sock", f"tcp://127.0.0.1:20{name[-1]}")
    return NodeStatus(name, name.rpartition("-")[0], state, endpoints)


def picture(
    pids: dict[str, int] | None = None,
    reasons: tuple[str, ...] = (),
    states: dict[str, str] | None = None,
    master: bool = True,
) -> ClusterHealth:
    states = dict.fromkeys(ALL, "live") | (states or {})
    nodes = [node(name, state) for name, state in states.items() if state != "unknown"]
    status = Status(
        "c",
        "degraded" if reasons else "serving",
        reasons,
        tuple(n for n in nodes if n.role == "datanode"),
    )
    workers = [n for n in nodes if n.role == "worker"] if master else None
    here = Here("c", "127.0.0.1:1", ALL, PIDS if pids is None else pids)
    return assess(here, Answers(status, workers))


def roles(health: ClusterHealth) -> dict[str, tuple[int | None, str]]:
    return {role.id: (role.pid, role.state) for role in health.roles}


def test_all_is_well() -> None:
    health = picture()
    assert (health.state, health.reasons) == ("serving", ())
    assert roles(health) == {name: (pid, "live") for name, pid in PIDS.items()}
    assert [role.id for role in health.roles] == [
        "namenode", "datanode-1", "datanode-2", "worker-1", "worker-2",
    ]  # fmt: skip
    assert health.roles[1].address == "127.0.0.1:201"
    fields = health.fields()
    assert list(fields) == ["cluster", "state", "reasons", "roles"]
    assert list(fields["roles"][0]) == ["id", "role", "pid", "address", "state"]


def test_a_process_that_is_gone_is_dead_before_the_namenode_knows() -> None:
    health = picture(pids={name: pid for name, pid in PIDS.items() if name != "datanode-2"})
    assert (health.state, health.reasons) == ("degraded", ("datanode-2 is dead",))
    assert roles(health)["datanode-2"] == (None, "dead")


@pytest.mark.parametrize("state", ["stale", "dead"])
def test_a_process_that_runs_and_is_silent_is_what_the_namenode_says(state: str) -> None:
    health = picture(states={"datanode-1": state}, reasons=(f"datanode-1 is {state}",))
    assert (health.state, health.reasons) == ("degraded", (f"datanode-1 is {state}",))
    assert roles(health)["datanode-1"] == (11, state)


def test_a_worker_that_never_registered_is_a_reason() -> None:
    health = picture(states={"worker-2": "unknown"})
    assert (health.state, health.reasons) == ("degraded", ("worker-2 is starting",))


def test_without_a_master_no_worker_is_expected() -> None:
    health = picture(master=False)
    assert health.state == "serving"
    assert set(roles(health)) == {"namenode", "datanode-1", "datanode-2"}


def test_nodes_of_other_machines_have_no_pid() -> None:
    health = picture(states={"datanode-10": "live"})
    assert health.state == "serving"
    assert roles(health)["datanode-10"] == (None, "live")
    assert [r.id for r in health.roles][:4] == [
        "namenode", "datanode-1", "datanode-2", "datanode-10",
    ]  # fmt: skip


def test_a_namenode_that_does_not_answer_is_down_with_its_reason() -> None:
    here = Here("c", "127.0.0.1:1", ALL, {"datanode-1": 11})
    health = assess(here, Unavailable("no namenode answers at 127.0.0.1:1"))
    assert (health.state, health.reasons) == ("down", ("no namenode answers at 127.0.0.1:1",))
    assert roles(health)["namenode"] == (None, "dead")
    assert roles(health)["datanode-1"] == (11, "silent")
    assert roles(health)["worker-1"] == (None, "dead")


def test_what_was_stopped_or_paused_is_called_so_and_the_remedy_named() -> None:
    pids = {name: pid for name, pid in PIDS.items() if name != "datanode-2"}
    states = {"datanode-2": "dead", "worker-1": "stale"}
    nodes = tuple(node(name, states.get(name, "live")) for name in ALL)
    status = Status("c", "degraded", ("datanode-2 is dead",), nodes[::2])
    stopped, paused = frozenset({"datanode-2"}), frozenset({"worker-1"})
    here = Here("c", "127.0.0.1:1", ALL, pids, stopped, paused)
    health = assess(here, Answers(status, nodes[1::2]))
    assert roles(health)["datanode-2"] == (None, "stopped")
    assert roles(health)["worker-1"] == (12, "paused")
    assert health.reasons == (
        "datanode-2 is stopped: 'minidfs start datanode-2' starts it",
        "worker-1 is paused: 'minidfs resume worker-1' lets it go on",
    )


def test_of_a_dead_process_it_is_said_how_it_ended() -> None:
    pids = {name: pid for name, pid in PIDS.items() if name != "worker-2"}
    here = Here("c", "127.0.0.1:1", ALL, pids, ends={"worker-2": "SIGKILL", "worker-1": "SIGTERM"})
    nodes = tuple(node(name) for name in ALL)
    health = assess(here, Answers(Status("c", "serving", (), nodes[::2]), nodes[1::2]))
    assert health.reasons == ("worker-2 is dead: it ended with SIGKILL",)


@pytest.mark.parametrize(
    ("here", "state", "reason"),
    [
        (
            Here("c", "a:1", (), {}, stopped=frozenset({"namenode"})),
            "stopped",
            "namenode is stopped: 'minidfs start namenode' starts it",
        ),
        (
            Here("c", "a:1", (), {"namenode": 1}, paused=frozenset({"namenode"})),
            "paused",
            "namenode is paused: 'minidfs resume namenode' lets it go on",
        ),
        (
            Here("c", "a:1", (), {}, ends={"namenode": "exit code 7: the log is damaged"}),
            "dead",
            "namenode is dead: it ended with exit code 7: the log is damaged",
        ),
    ],
)
def test_why_a_namenode_does_not_answer(here: Here, state: str, reason: str) -> None:
    health = assess(here, Unavailable("no namenode answers"))
    assert roles(health)["namenode"][1] == state
    assert health.reasons == ("no namenode answers", reason)

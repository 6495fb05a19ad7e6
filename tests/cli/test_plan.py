"""What `up` keeps, adds, refuses and chooses."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from cli.cluster.plan import Plan, Wanted, make_plan
from dfs.config import render
from dfs.errors import BadArgument, Exists
from dfs.limits import SECOND_NS
from dfs.local.layout import Home, own_config, write_file


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path / "home")
    found.make()
    return found


def keep(home: Home, plan: Plan) -> Plan:
    home.save_local(plan.local)
    write_file(home.config_file, render(plan.config).encode())
    return plan


def test_a_new_cluster_has_an_id_three_nodes_and_addresses_of_its_own(home: Home) -> None:
    plan = make_plan(home, Wanted(), running=False, cores=8)
    assert len(plan.config.cluster.id) == 16
    assert list(plan.nodes) == [1, 2, 3]
    assert plan.local.slots == 2
    addresses = [plan.config.namenode.address, *plan.local.listen.values()]
    assert len(set(addresses)) == 7
    assert plan.config.times.repair_after_ns == 10 * SECOND_NS


@pytest.mark.parametrize(("nodes", "copies"), [(1, 1), (2, 2), (3, 3), (7, 3)])
def test_files_get_no_more_copies_than_there_are_nodes(home: Home, nodes: int, copies: int) -> None:
    plan = make_plan(home, Wanted(nodes=nodes), running=False, cores=2)
    assert plan.config.files.replication == copies
    assert plan.local.slots == max(1, 2 // nodes)


def test_the_next_start_uses_everything_again(home: Home) -> None:
    first = keep(home, make_plan(home, Wanted(nodes=2, replication=2), False, 2))
    assert first.is_new
    assert make_plan(home, Wanted(), running=False, cores=2) == replace(first, is_new=False)


def test_nodes_can_be_added_and_keep_their_addresses(home: Home) -> None:
    first = keep(home, make_plan(home, Wanted(nodes=1), False, 4))
    second = make_plan(home, Wanted(nodes=2), running=True, cores=4)
    assert second.config == first.config
    assert first.local.listen.items() <= second.local.listen.items()
    assert set(second.local.listen) == {"datanode-1", "worker-1", "datanode-2", "worker-2"}


def test_nodes_cannot_be_left_out(home: Home) -> None:
    keep(home, make_plan(home, Wanted(nodes=3), False, 2))
    with pytest.raises(BadArgument, match="decommission"):
        make_plan(home, Wanted(nodes=2), running=False, cores=2)


def test_a_machine_runs_a_bounded_number_of_nodes(home: Home) -> None:
    with pytest.raises(BadArgument, match="up to 64"):
        make_plan(home, Wanted(nodes=65), running=False, cores=2)


def test_settings_change_only_while_the_cluster_is_down(home: Home) -> None:
    keep(home, make_plan(home, Wanted(), False, 2))
    with pytest.raises(Exists, match="minidfs down"):
        make_plan(home, Wanted(replication=2), running=True, cores=2)
    plan = make_plan(home, Wanted(replication=2, chunk_bytes=1 << 20), running=False, cores=2)
    assert (plan.config.files.replication, plan.config.files.chunk_bytes) == (2, 1 << 20)


def test_an_address_that_a_stranger_took_is_chosen_anew(home: Home) -> None:
    first = keep(home, make_plan(home, Wanted(), False, 2))
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = f"127.0.0.1:{stranger.getsockname()[1]}"
        config = replace(first.config, namenode=replace(first.config.namenode, address=taken))
        local = {**first.local.listen, "worker-2": taken}
        keep(home, Plan(config, type(first.local)(3, 1, local)))
        second = make_plan(home, Wanted(), running=False, cores=2)
    assert second.config.namenode.address != taken
    changed = {k for k, v in second.local.listen.items() if v != local[k]}
    assert changed == {"worker-2"}


def test_each_process_of_a_machine_has_its_own_address_and_slots(home: Home) -> None:
    plan = make_plan(home, Wanted(nodes=2), running=False, cores=6)
    datanode = own_config(plan.config, plan.local, "datanode-2")
    worker = own_config(plan.config, plan.local, "worker-2")
    assert datanode.datanode.listen == plan.local.listen["datanode-2"]
    assert worker.worker.listen == plan.local.listen["worker-2"]
    assert worker.worker.slots == 3
    configured = replace(plan.config, worker=replace(plan.config.worker, slots=5))
    assert own_config(configured, plan.local, "worker-2").worker.slots == 5
    assert own_config(plan.config, plan.local, "namenode") == plan.config
    assert own_config(plan.config, None, "datanode-2") == plan.config

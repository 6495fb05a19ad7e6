"""Side outputs at the master: committed with their task, checked, shown with the job."""

from __future__ import annotations

import pytest

from dfs.wire import namespace as m
from dfs.wire.common import Ok
from mapreduce import wire as w
from tests.master.master_stage import ATTEMPTS, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_side_outputs_are_committed_with_their_task_and_shown_with_the_job(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    assert stage.succeed("w1", order, side=("bad/part-m-00000", "odd/part-m-00000")) == Ok()
    assert stage.names(f"/.jobs/{job}/output") == ["bad", "odd"]
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    assert stage.names("/out") is None
    assert stage.succeed("w1", order, side=("bad/part-r-00000",)) == Ok()
    assert stage.names("/out") == ["_SUCCESS", "bad", "odd", "part-r-00000"]
    assert stage.names("/out/bad") == ["part-m-00000", "part-r-00000"]
    assert stage.names("/out/odd") == ["part-m-00000"]


def test_a_map_that_runs_again_writes_its_side_outputs_again(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", order, side=("bad/part-m-00000",))
    stage.join("w1", epoch=1)
    ((_, order),) = stage.take_orders(w.LaunchMap)
    assert order.task.attempt == 2
    stage.part = b"again"
    stage.succeed("w1", order, side=("bad/part-m-00000",))
    stage.run_all()
    assert stage.names("/out/bad") == ["part-m-00000"]
    assert stage.ask(m.Stat("/out/bad/part-m-00000"), m.Found).entry.size == 5


def test_a_map_that_runs_again_leaves_no_side_output_that_it_does_not_write_again(
    stage: Stage,
) -> None:
    stage.join("w1")
    job = stage.submit(maps=2)
    for side in (("bad/part-m-00000", "odd/part-m-00000"), ("bad/part-m-00001",)):
        ((_, order),) = stage.take_orders(w.LaunchMap)
        stage.succeed("w1", order, side=side)
    stage.join("w1", epoch=1)
    again = {0: ("odd/part-m-00000", "new/part-m-00000"), 1: ("bad/part-m-00001",)}
    while again:
        ((_, order),) = stage.take_orders(w.LaunchMap)
        assert order.task.attempt == 2
        stage.succeed("w1", order, side=again.pop(order.task.index))
    stage.run_all(records=6)
    assert stage.report(job).counters["outputs"] == {"bad": 3, "new": 3, "odd": 3}
    assert stage.names("/out/bad") == ["part-m-00001"]
    assert stage.names("/out/odd") == ["part-m-00000"]
    assert stage.names("/out/new") == ["part-m-00000"]


def test_side_outputs_that_cannot_be_are_not_committed(stage: Stage) -> None:
    stage.join("w1")
    stage.submit(maps=1)
    for wrong in (
        ("bad/part-r-00000",),
        ("_bad/part-m-00000",),
        ("../part-m-00000",),
        ("bad/part-m-00000",) * 2,
        tuple(f"{n}/part-m-00000" for n in range(33)),
    ):
        ((_, order),) = stage.take_orders(*ATTEMPTS)
        word = w.AttemptSucceeded(w.AttemptId.of(order.task), {}, 1, 1, 1, wrong)
        assert isinstance(stage.tell("w1", word), w.KillAttempt), wrong
        stage.advance(2, "w1")


def test_side_outputs_whose_place_was_removed_are_not_committed(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1)
    stage.remove(f"/.jobs/{job}/output", recursive=True)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    answer = stage.succeed("w1", order, side=("bad/part-m-00000",))
    assert isinstance(answer, w.KillAttempt)
    assert "was removed" in answer.reason

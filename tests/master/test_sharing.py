"""Which job and which worker: priorities, fair shares, racks, early reduces, avoided workers."""

from __future__ import annotations

import pytest

from dfs.limits import SECOND_NS
from mapreduce.limits import AVOID_AFTER_FAILURES, AVOID_NS
from mapreduce.master import events as ev
from mapreduce.master.avoid import explain
from tests.master.scripts import JOB, Script, attempt

SECOND = "j-20261121-0002"
THIRD = "j-20261121-0003"


def launches(lines: list[str]) -> list[str]:
    return [line.removeprefix("launch ") for line in lines if line.startswith("launch")]


def test_a_higher_priority_goes_first() -> None:
    script = Script()
    script.join("w1")
    script.job(2, 0)
    script.job(1, 0, ident=SECOND, priority=5)
    script.job(1, 0, ident=THIRD, priority=-1)
    assert launches(script.done("m0.1", "w1")) == ["2/m0.1 w1"]
    assert launches(script.done("m0.1", "w1", job=SECOND)) == ["m1.1 w1"]
    assert launches(script.done("m1.1", "w1")) == ["3/m0.1 w1"]


def test_equals_get_a_fair_share_each() -> None:
    script = Script()
    script.join("w1", slots=4)
    script.job(20, 0)
    assert launches(script.job(20, 0, ident=SECOND)) == [], "nothing is taken away"
    started = [launches(script.done(f"m{index}.1", "w1")) for index in range(4)]
    assert started == [["2/m0.1 w1"], ["2/m1.1 w1"], ["m4.1 w1"], ["m5.1 w1"]]
    assert launches(script.done("m0.1", "w1", job=SECOND)) == ["2/m2.1 w1"]


def test_what_a_job_cannot_use_of_its_share_the_first_one_gets() -> None:
    script = Script()
    script.job(20, 0)
    script.job(1, 0, ident=SECOND)
    started = launches(script.join("w1", slots=6))
    assert sorted(started) == sorted([*(f"m{i}.1 w1" for i in range(5)), "2/m0.1 w1"])


def test_more_jobs_than_slots_get_one_each_in_turn() -> None:
    script = Script()
    script.join("w1", slots=1)
    script.job(2, 0)
    script.job(1, 0, ident=SECOND)
    assert launches(script.done("m0.1", "w1")) == ["m1.1 w1"]
    assert launches(script.done("m1.1", "w1")) == ["2/m0.1 w1"]


def test_rack_before_anywhere() -> None:
    script = Script()
    for name, node, rack in (("w1", "n1", "r1"), ("w2", "n2", "r2"), ("w3", "n3", "r1")):
        script.tell(ev.WorkerJoined(name, node, 1, (), rack))
        script.tell(ev.RunsAnnounced(name, (), True))
    script.tell(ev.JobSubmitted(JOB, 3, 0, 4))
    nodes = tuple((index, ("n1",)) for index in range(3))
    assert launches(script.tell(ev.MapsLocated(JOB, nodes))) == ["m0.1 w1"]
    assert launches(script.advance(3)) == ["m1.1 w3"]
    script.beat("w1", "m0.1")
    script.beat("w2")
    assert launches(script.advance(3)) == ["m2.1 w2"]
    found = [script.state.jobs[JOB].maps[index].attempt for index in range(3)]
    assert [(known.locality, known.miss) for known in found] == [
        ("node", ""),
        ("rack", "no free slot on n1 for 3 s"),
        ("remote", "no free slot on n1 and in r1 for 6 s"),
    ]


def test_a_rack_that_is_told_later_counts() -> None:
    script = Script()
    script.join("w1", node="n1")
    script.tell(ev.Heartbeat("w1", (), "r1"))
    assert script.state.rack(script.state.workers["w1"]) == "r1"
    script.tell(ev.JobSubmitted(JOB, 1, 0, 4))
    located = ev.MapsLocated(JOB, ((0, ("n9",)),), (("n9", "r1"),))
    assert launches(script.tell(located)) == ["m0.1 w1"]
    assert script.state.jobs[JOB].maps[0].locality == "rack"


def test_reduces_start_early_only_in_slots_that_no_map_wants() -> None:
    script = Script()
    script.join("w1", slots=4)
    assert launches(script.job(4, 2)) == [f"m{index}.1 w1" for index in range(4)]
    assert launches(script.done("m0.1", "w1")) == [], "a quarter is too early"
    assert launches(script.done("m1.1", "w1")) == ["r0.1 w1", "r1.1 w1"]


def test_the_maps_of_another_job_go_before_early_reduces() -> None:
    script = Script()
    script.join("w1", slots=2)
    script.job(2, 1)
    script.job(5, 0, ident=SECOND)
    assert launches(script.done("m0.1", "w1")) == ["2/m0.1 w1"]
    assert launches(script.done("m1.1", "w1")) == ["r0.1 w1"], "its share, and all maps are done"


def test_a_job_avoids_a_worker_where_it_keeps_failing_for_a_while() -> None:
    script = Script()
    script.join("w1")
    script.join("w2")
    script.job(9, 0, max_attempts=50)
    for number in (1, 2):
        assert launches(script.fail(f"m0.{number}", "w1")) == [f"m0.{number + 1} w1"]
    assert script.fail("m0.3", "w1") == ["tell attempt_failed", "tell worker_avoided"]
    worker = script.state.workers["w1"]
    said = explain(worker, script.state, script.now_ns)
    assert said == f"{JOB} avoids it for 60 s: 3 of its attempts failed"
    assert launches(script.job(1, 0, ident=SECOND)) == ["2/m0.1 w1"], "others use it"
    script.done("m0.1", "w1", job=SECOND)
    assert launches(script.done("m1.1", "w2")) == ["m0.4 w2"]
    lines: list[str] = []
    for _ in range(AVOID_NS // SECOND_NS):
        lines += script.beat("w1") + script.beat("w2", "m0.4") + script.advance(1)
    assert launches(lines) == ["m2.1 w1"], "not for ever"
    assert explain(worker, script.state, script.now_ns) == ""


def test_a_broken_node_is_avoided_by_all() -> None:
    script = Script()
    script.join("w1")
    script.join("w2")
    script.job(9, 0, max_attempts=1)
    for index in (0, 2, 3):
        script.fail(f"m{index}.1", "w1", "node")
    assert script.state.workers["w1"].room == 1
    assert launches(script.job(1, 0, ident=SECOND, priority=1)) == []
    said = explain(script.state.workers["w1"], script.state, script.now_ns)
    assert said.startswith("avoided for 60 s: 3 attempts failed, the last: it broke; ")


@pytest.mark.parametrize("kind", ["user", "crash", "memory", "timeout", "scratch", "input"])
def test_jobs_that_fail_by_their_own_fault_take_no_worker_from_others(kind: str) -> None:
    script = Script()
    script.join("w1")
    script.join("w2")
    for number in range(1, 2 * AVOID_AFTER_FAILURES):
        ident = f"j-20261121-000{number}"
        script.job(1, 0, max_attempts=1, ident=ident)
        assert f"end {ident} failed" in script.fail("m0.1", "w1", kind, job=ident)
    assert explain(script.state.workers["w1"], script.state, script.now_ns) == ""
    assert launches(script.job(1, 0, ident="j-20261121-0009")) == ["9/m0.1 w1"]


def test_a_success_between_takes_the_blame_away() -> None:
    script = Script()
    script.join("w1")
    script.join("w2")
    script.job(9, 0, max_attempts=50)
    script.fail("m0.1", "w1")
    script.fail("m0.2", "w1")
    script.done("m0.3", "w1")
    assert launches(script.fail("m2.1", "w1")) == ["m2.2 w1"]
    assert explain(script.state.workers["w1"], script.state, script.now_ns) == ""


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_what_fails_everywhere_is_the_fault_of_no_worker(workers: int) -> None:
    script = Script()
    for number in range(workers):
        script.join(f"w{number}")
    script.job(workers, 0, max_attempts=50)
    failed = 0
    for _ in range(40):
        running = [(a, w.name) for w in script.state.workers.values() for a in w.running]
        for ident, worker in running:
            script.fail(str(ident).replace("-0000", ""), worker)
            failed += 1
    assert failed >= 40, "half of the workers at least go on"


def test_fetches_that_fail_are_the_fault_of_another() -> None:
    script = Script()
    script.join("w1")
    script.join("w2")
    script.job(1, 1, max_attempts=1)
    script.done("m0.1", "w1")
    for number in range(1, 6):
        worker = next(w.name for w in script.state.workers.values() if w.running)
        script.fail(f"r0.{number}", worker, "fetch")
    assert script.state.avoided == {}


def test_a_worker_that_leaves_gives_back_all_at_once() -> None:
    script = Script()
    script.join("w1", slots=2)
    script.job(2, 1)
    script.done("m0.1", "w1")
    script.join("w2", slots=3)
    said = script.tell(ev.WorkerLeft("w1"))
    assert sorted(said[:3]) == ["tell attempt_lost", "tell attempt_lost", "tell map_output_lost"]
    assert launches(said) == ["m0.2 w2", "m1.2 w2"]
    assert script.tell(ev.WorkerDisconnected("w1")) == []
    assert script.join("w1") == [], "and may come back"
    assert not script.state.workers["w1"].leaving


def test_a_killed_task_runs_again_and_nothing_is_counted() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=1)
    killed = ["tell attempt_killed", "kill m0.1 w1", "launch m0.2 w1"]
    assert script.tell(ev.TaskKilled(attempt("m0.0"), "killed by anna")) == killed
    assert script.tell(ev.TaskKilled(attempt("m0.1"), "killed by anna")) == []
    assert script.tell(ev.TaskKilled(attempt("m7.0"), "killed by anna")) == []
    assert launches(script.tell(ev.TaskKilled(attempt("m0.2"), "why"))) == ["m0.3 w1"]
    task = script.state.jobs[JOB].maps[0]
    assert (task.failed, task.faults) == (0, 0)
    assert script.done("m0.3", "w1") == [f"publish {JOB}"]


def test_the_memory_of_an_ended_job_is_given_back_in_slices() -> None:
    script = Script()
    script.join("w1", slots=9)
    script.job(3, 1)
    tasks = script.state.jobs[JOB].maps
    for index in range(3):
        script.done(f"m{index}.1", "w1")
    script.tell(ev.JobKilled(JOB, "enough"))
    script.state.clear_away(1)
    script.state.clear_away(2)
    assert len(tasks) == 1, "the reduce went first"
    script.advance(1)
    assert len(tasks) == 0

"""Scripts: what happens, and what the scheduler wants done then."""

from __future__ import annotations

import pytest

from dfs.limits import SECOND_NS
from mapreduce.limits import ADOPTION_WAIT_NS, ATTEMPT_LEASE_NS, ATTEMPTS_PER_TASK_MAX
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.wire import JobState, TaskKind
from tests.master.scripts import JOB, Script, attempt

OTHER = "j-20261121-0002"


def test_a_job_from_start_to_end() -> None:
    script = Script()
    script.join("w1", slots=2)
    assert script.job(2, 1) == [f"begin {JOB}", "launch m0.1 w1", "launch m1.1 w1"]
    assert script.done("m0.1", "w1") == ["launch r0.1 w1"]
    assert script.done("m1.1", "w1") == []
    assert script.done("r0.1", "w1") == [f"publish {JOB}"]
    assert script.tell(ev.OutputPublished(JOB)) == [f"end {JOB} succeeded"]
    assert script.state.jobs == {}


def test_a_job_without_reduces_is_done_with_its_maps() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0)
    assert script.done("m0.1", "w1") == [f"publish {JOB}"]


@pytest.mark.parametrize(("reduces", "wanted"), [(0, [f"publish {JOB}"]), (1, [])])
def test_a_job_without_maps(reduces: int, wanted: list[str]) -> None:
    script = Script()
    assert script.job(0, reduces) == wanted


def test_an_output_that_is_refused_fails_the_job() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0)
    script.done("m0.1", "w1")
    assert script.tell(ev.OutputRefused(JOB, "/out exists")) == [f"end {JOB} failed"]
    end = script.said[-1]
    assert isinstance(end, ac.EndJob)
    assert end.error == "/out exists"


def test_maps_go_to_the_node_that_holds_their_input() -> None:
    script = Script()
    script.join("w1", slots=1, node="n1")
    script.join("w2", slots=1, node="n2")
    assert script.job(2, 0, node="n2") == [f"begin {JOB}", "launch m0.1 w2"]
    assert script.advance(2) == []
    assert script.advance(1) == ["launch m1.1 w1"]
    waited = script.state.jobs[JOB].maps[1].attempt
    assert (waited.locality, waited.miss) == ("remote", "no free slot on n2 for 3 s")


def test_a_slot_that_an_earlier_job_cannot_use_goes_to_a_later_one() -> None:
    script = Script()
    script.join("w1", slots=1, node="n1")
    script.join("w2", slots=1, node="n2")
    script.job(2, 0, node="n2")
    assert script.job(1, 0, ident=OTHER) == [f"begin {OTHER}", "launch 2/m0.1 w1"]


def test_jobs_come_first_in_first_out() -> None:
    script = Script()
    script.join("w1")
    script.job(2, 0)
    script.job(1, 0, ident=OTHER)
    assert script.done("m0.1", "w1") == ["launch m1.1 w1"]
    assert script.done("m1.1", "w1")[-1] == "launch 2/m0.1 w1"


def test_work_spreads_over_the_workers() -> None:
    script = Script()
    script.join("w1", slots=2)
    script.join("w2", slots=2)
    assert script.job(2, 0)[1:] == ["launch m0.1 w1", "launch m1.1 w2"]


def test_a_failed_attempt_is_tried_again_until_there_were_too_many() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=2)
    assert script.fail("m0.1", "w1", "crash") == ["tell attempt_failed", "launch m0.2 w1"]
    assert script.fail("m0.2", "w1", "memory")[1:] == [f"end {JOB} failed"]
    end = script.said[-1]
    assert isinstance(end, ac.EndJob)
    assert end.error == "m-00000.1 on w1 failed: it broke", "the first failure is shown"


def test_what_failed_goes_first() -> None:
    script = Script()
    script.join("w1")
    script.job(9, 0)
    assert script.fail("m0.1", "w1")[1:] == ["launch m0.2 w1"]


def test_a_mapper_that_always_raises_fails_the_job_after_slots_and_one_attempts() -> None:
    script = Script()
    for number in (1, 2, 3):
        script.join(f"w{number}", slots=1, node=f"n{number}")
    script.tell(ev.JobSubmitted(JOB, 56, 4, 4))
    nodes = [tuple({f"n{index % 3 + 1}", f"n{(index + 1) % 3 + 1}"}) for index in range(56)]
    launched = script.tell(ev.MapsLocated(JOB, tuple(enumerate(nodes))))[1:]
    failed = 0
    while script.state.jobs:
        _, ident, worker = launched.pop(0).split()
        said = script.fail(ident, worker, "user", signature=ident.partition(".")[0])
        launched += [line for line in said if line.startswith("launch")]
        failed += 1
    assert failed == 3 + 1


def test_the_same_exception_twice_fails_the_job() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=50)
    assert script.fail("m0.1", "w1", "user", signature="a")[1:] == ["launch m0.2 w1"]
    assert script.fail("m0.2", "w1", "user", signature="b")[1:] == ["launch m0.3 w1"]
    assert script.fail("m0.3", "w1", "user", signature="a")[1:] == [f"end {JOB} failed"]
    end = script.said[-1]
    assert isinstance(end, ac.EndJob)
    assert end.failure is not None
    assert "Traceback: x" in end.error


def test_faults_of_nodes_never_count() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=1)
    for number in range(1, 20):
        assert script.fail(f"m0.{number}", "w1", "node") == ["tell attempt_failed"]
        assert script.beat("w1") == []
        assert script.advance(1) == [f"launch m0.{number + 1} w1"], "after a pause"


def test_no_task_gets_attempts_for_ever() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=1)
    for number in range(1, ATTEMPTS_PER_TASK_MAX):
        script.fail(f"m0.{number}", "w1", "node")
        script.beat("w1")
        script.advance(1)
    assert script.fail(f"m0.{ATTEMPTS_PER_TASK_MAX}", "w1", "node")[1:] == [f"end {JOB} failed"]


def test_input_that_nobody_can_read_fails_the_job_in_the_end() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0, max_attempts=2)
    script.fail("m0.1", "w1", "input")
    assert script.advance(1) == ["launch m0.2 w1"]
    assert script.fail("m0.2", "w1", "input")[1:] == [f"end {JOB} failed"]


def test_an_attempt_that_nobody_names_loses_its_lease() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0)
    for _ in range(ATTEMPT_LEASE_NS // SECOND_NS - 1):
        script.now_ns += SECOND_NS
        assert script.beat("w1", "m0.1") == []
    for _ in range(ATTEMPT_LEASE_NS // SECOND_NS - 1):
        script.now_ns += SECOND_NS
        assert script.beat("w1") == []
    script.now_ns += 2 * SECOND_NS
    assert script.beat("w1") == ["tell attempt_lost", "kill m0.1 w1", "launch m0.2 w1"]
    assert script.beat("w1", "m0.1") == ["kill m0.1 w1"], "a dead attempt stays dead"
    assert script.done("m0.1", "w1") == []


def test_a_silent_worker_gets_no_work_and_later_loses_all() -> None:
    script = Script()
    script.join("w1")
    script.job(2, 1)
    script.done("m0.1", "w1")
    script.advance(6)
    assert script.join("w2", slots=3) == ["launch r0.1 w2"]
    lines = []
    for _ in range(15):
        lines += script.advance(1) + script.beat("w2", "r0.1")
    assert lines == [
        "tell attempt_lost",
        "tell map_output_lost",
        "launch m0.2 w2",
        "launch m1.2 w2",
    ]


def test_a_worker_that_starts_anew_keeps_the_runs_that_it_names() -> None:
    script = Script()
    script.join("w1", slots=1)
    script.job(3, 1)
    script.done("m0.1", "w1")
    script.done("m1.1", "w1")
    assert script.tell(ev.WorkerDisconnected("w1")) == []
    assert script.join("w1", runs="m0.1") == [
        "tell attempt_lost",
        "tell map_output_lost",
        "launch m1.2 w1",
    ]
    assert script.state.jobs[JOB].done[TaskKind.MAP] == 1


def test_an_attempt_outlives_a_lost_connection() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0)
    script.tell(ev.WorkerDisconnected("w1"))
    assert script.join("w1", running="m0.1") == []
    assert script.done("m0.1", "w1") == [f"publish {JOB}"]


def test_a_success_between_registering_and_announcing_is_no_lost_run() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 1)
    script.tell(ev.WorkerJoined("w1", "", 1, (attempt("m0.1"),)))
    script.done("m0.1", "w1")
    assert script.tell(ev.RunsAnnounced("w1", (), True)) == ["launch r0.1 w1"]


def test_a_run_that_comes_back_is_used() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 1)
    script.done("m0.1", "w1")
    assert "tell map_output_lost" in script.advance(21)
    assert script.join("w1", runs="m0.1") == ["launch r0.2 w1"]


def test_a_lost_map_output_runs_just_that_map_again() -> None:
    script = Script()
    script.join("w1", slots=3)
    script.job(2, 1)
    script.done("m0.1", "w1")
    script.done("m1.1", "w1")
    lost = ev.MapOutputLost(attempt("r0.1"), "w1", (attempt("m1.1"),))
    assert script.tell(lost) == ["tell map_output_lost", "launch m1.2 w1"]
    assert script.tell(lost) == [], "said twice"
    assert script.done("m1.2", "w1") == []
    assert script.done("r0.1", "w1") == [f"publish {JOB}"]


def test_a_fetch_failure_gives_up_the_reduce_and_runs_the_map_again() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 1, max_attempts=1)
    script.done("m0.1", "w1")
    assert script.fail("r0.1", "w1", "fetch", runs="m0.1")[1:] == [
        "tell map_output_lost",
        "launch m0.2 w1",
    ]
    assert script.done("m0.2", "w1") == ["launch r0.2 w1"]


def test_a_reduce_gives_way_to_a_map_that_it_waits_for() -> None:
    script = Script()
    script.join("w1", slots=2)
    script.job(2, 2)
    script.done("m0.1", "w1")
    script.done("m1.1", "w1")
    lost = ev.MapOutputLost(attempt("r0.1"), "w1", (attempt("m0.1"), attempt("m1.1")))
    assert script.tell(lost) == [
        "tell map_output_lost",
        "tell map_output_lost",
        "tell attempt_killed",
        "kill r1.1 w1",
        "launch m1.2 w1",
    ]
    assert script.done("m1.2", "w1") == ["launch m0.2 w1"]
    assert script.done("m0.2", "w1") == ["launch r1.2 w1"]


def test_a_reduce_of_an_earlier_job_never_gives_way() -> None:
    script = Script()
    script.join("w1", slots=1)
    script.job(1, 1)
    script.done("m0.1", "w1")
    assert script.job(1, 1, ident=OTHER) == []
    assert script.done("r0.1", "w1") == [f"publish {JOB}", f"begin {OTHER}", "launch 2/m0.1 w1"]


def test_a_killed_job_is_over_at_once() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 1)
    assert script.tell(ev.JobKilled(JOB, "why")) == [f"end {JOB} killed"]
    assert script.done("m0.1", "w1") == []
    assert script.tell(ev.JobKilled(JOB, "why")) == []
    assert script.join("w1", runs="m0.1") == [f"forget {JOB} w1"]


def test_a_restored_job_goes_on_where_it_was() -> None:
    script = Script()
    known = (
        ev.KnownTask(TaskKind.MAP, 0, 1, 1, "w1"),
        ev.KnownTask(TaskKind.MAP, 1, 2, 0, ""),
    )
    script.stands(3, 1, *known)
    script.tell(ev.MapsLocated(JOB, ((0, ()), (1, ()), (2, ()))))
    joined = script.join("w1", slots=3, running="m1.2", runs="m0.1")
    assert joined == ["launch m2.1 w1"]
    assert script.done("m1.2", "w1") == ["launch r0.1 w1"]
    script.done("m2.1", "w1")
    assert script.done("r0.1", "w1") == [f"publish {JOB}"]


def test_after_a_restart_what_nobody_names_runs_again() -> None:
    script = Script()
    known = (ev.KnownTask(TaskKind.MAP, 0, 1, 0, ""), ev.KnownTask(TaskKind.MAP, 1, 1, 1, "w9"))
    script.stands(2, 1, *known)
    script.tell(ev.MapsLocated(JOB, ((0, ()), (1, ()))))
    assert script.join("w1") == []
    lines = []
    for _ in range(ADOPTION_WAIT_NS // SECOND_NS):
        lines += script.beat("w1") + script.advance(1)
    assert lines == ["launch m0.2 w1"], "numbers go on behind those of before"
    for _ in range(20):
        lines += script.advance(1) + script.beat("w1", "m0.2")
    assert lines[1:] == ["tell map_output_lost"], "w9 never came back"
    assert script.done("m0.2", "w1") == ["launch m1.2 w1"]


def test_an_attempt_is_adopted_only_if_it_is_the_last_one() -> None:
    script = Script()
    known = (ev.KnownTask(TaskKind.MAP, 0, 3, 0, ""),)
    script.stands(1, 0, *known)
    assert script.join("w1", running="m0.2") == ["kill m0.2 w1"]
    assert script.join("w2", running="m0.3") == []
    assert script.done("m0.3", "w2") == [f"publish {JOB}"]


def test_nodes_of_input_that_nobody_reported_yet_are_asked_for_again() -> None:
    script = Script()
    script.join("w1", node="n1")
    script.tell(ev.JobSubmitted(JOB, 1, 0, 4))
    scheduler = script.scheduler
    assert [task.index for _, task in scheduler.unlocated(10, script.now_ns)] == [0]
    script.tell(ev.MapsLocated(JOB, ((0, None),)))
    assert scheduler.unlocated(10, script.now_ns) == []
    script.advance(1)
    assert len(scheduler.unlocated(10, script.now_ns)) == 1
    assert script.tell(ev.MapsLocated(JOB, ((0, ("n1",)),)))[-1] == "launch m0.1 w1"


def test_an_impossible_step_tells_the_story() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 1)
    script.done("m0.1", "w1")
    task = script.state.jobs[JOB].maps[0]
    with pytest.raises(AssertionError, match="launched 1 on w1, succeeded 1, succeeded"):
        task.move("succeeded")


def test_state_of_an_ended_job() -> None:
    assert {state for state in JobState if state.is_final} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.KILLED,
    }


def test_a_lease_is_about_the_word_of_the_worker_and_not_about_progress() -> None:
    script = Script()
    script.join("w1")
    script.job(1, 0)
    for _ in range(4 * ATTEMPT_LEASE_NS // SECOND_NS):
        assert script.advance(1) + script.beat("w1", "m0.1") == [], "the same progress each time"
    assert script.done("m0.1", "w1") == [f"publish {JOB}"]

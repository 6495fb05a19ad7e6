"""Workers that held the output of very many maps."""

from __future__ import annotations

from mapreduce.limits import LOCALITY_WINDOW_TASKS, RUNS_LOST_PER_STEP
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.master.task import Tasks
from mapreduce.master.waiting import WaitingTasks
from mapreduce.wire import TaskKind
from tests.master.scripts import JOB, Script


def test_what_a_worker_held_is_given_up_a_bounded_number_at_a_time() -> None:
    maps = 2 * RUNS_LOST_PER_STEP + 1
    script = Script()
    script.join("w1", slots=maps)
    script.job(maps, 1)
    for index in range(maps):
        script.done(f"m{index}.1", "w1")
    script.said.clear()
    script.scheduler.handle(ev.WorkerLeft("w1"), script.now_ns)
    lost = []
    while script.scheduler.next_deadline() == 0:
        actions = script.scheduler.handle(ev.TimePassed(), script.now_ns)
        script.state.check()
        lost.append([a.attempt for a in actions if isinstance(a, ac.Tell)])
    assert [len(some) for some in lost] == [RUNS_LOST_PER_STEP, RUNS_LOST_PER_STEP, 1]
    assert len({run for some in lost for run in some}) == maps


def test_a_worker_that_is_back_before_all_is_given_up_keeps_what_it_names() -> None:
    maps = 2 * RUNS_LOST_PER_STEP
    script = Script()
    script.join("w1", slots=maps)
    script.job(maps, 1)
    for index in range(maps):
        script.done(f"m{index}.1", "w1")
    script.scheduler.handle(ev.WorkerLeft("w1"), script.now_ns)
    script.scheduler.handle(ev.TimePassed(), script.now_ns)
    kept = f"m0.1 m{maps - 1}.1"
    script.join("w1", slots=maps, runs=kept)
    assert script.state.workers["w1"].runs == {JOB: {0: 1, maps - 1: 1}}
    assert script.state.workers["w1"].doubted == {}
    job = script.state.jobs[JOB]
    assert job.done[TaskKind.MAP] == 2
    assert job.running_of[TaskKind.MAP] == maps - 2


def test_a_choice_costs_the_same_however_many_wait_again() -> None:
    tasks = Tasks(TaskKind.MAP, 5 * LOCALITY_WINDOW_TASKS, 0)
    waiting = WaitingTasks(tasks)
    for task in [tasks[index] for index in range(len(tasks))]:
        waiting.locate(task, ("d1",), 0)
        waiting.remove(task)
        waiting.wait_first(task)
    assert len(list(waiting.window())) == LOCALITY_WINDOW_TASKS
    assert waiting.first() is waiting.near("d1") is tasks[len(tasks) - 1]

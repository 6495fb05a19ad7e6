"""What workers say to the master, after a restart too, and what is committed then."""

from __future__ import annotations

import msgspec
import pytest

from dfs.errors import BadArgument, NotFound
from dfs.events import Origin, Peer, Received, Role
from dfs.namenode.table import MemoryTable
from dfs.wire.common import Failed, Ok
from mapreduce import wire as w
from mapreduce.commands import MODULE, TaskDone
from tests.master.master_stage import ATTEMPTS, Stage

FIRST = "j-20261121-0001"


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_repeated_success_gets_the_same_answer(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=2)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    assert stage.succeed("w1", order) == Ok()
    ident = w.AttemptId.of(order.task)
    assert stage.tell("w1", w.AttemptSucceeded(ident, {}, 3, 3, 4)) == Ok()
    other = w.AttemptId(job, 0, w.TaskKind.MAP, 0, 9)
    answer = stage.tell("w1", w.AttemptSucceeded(other, {}, 3, 3, 4))
    assert isinstance(answer, w.KillAttempt)
    done = [c for _, commands in stage.records for c in commands if isinstance(c, TaskDone)]
    assert len(done) == 1


def test_an_attempt_without_its_part_is_not_committed(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, reducer=False)
    for number, files in ((1, ("part-m-00000",)), (2, ()), (3, ("../x",))):
        ident = w.AttemptId(job, 0, w.TaskKind.MAP, 0, number)
        answer = stage.tell("w1", w.AttemptSucceeded(ident, {}, 1, 1, 1, files))
        assert isinstance(answer, w.KillAttempt)
        stage.advance(2, "w1")
    assert stage.report().maps == w.TaskCounts(1, 0, 1, 3)


def test_a_worker_must_register_first(stage: Stage) -> None:
    with pytest.raises(NotFound, match="w1 is not registered"):
        stage.tell("w1", w.WorkerHeartbeat(()))
    stage.join("w1")
    stage.tell("w1", w.WorkerHeartbeat(()))
    stage.lose_link("w1", stage.link - 1)
    stage.tell("w1", w.WorkerHeartbeat(()))
    stage.lose_link("w1", stage.link)
    with pytest.raises(NotFound):
        stage.tell("w1", w.WorkerHeartbeat(()))


def test_a_worker_registers_with_sense(stage: Stage) -> None:
    for endpoints, slots in (((), 1), (("tcp://w:1",), 0), (("tcp://w:1",), 10**6)):
        with pytest.raises(BadArgument):
            stage.tell("w1", w.RegisterWorker(endpoints, "h", "", slots))


def test_the_epoch_rises(stage: Stage) -> None:
    assert stage.join("w1") == 1
    stage.restart()
    assert stage.join("w1", epoch=1) == 2
    assert stage.join("w2", epoch=7) == 8
    stage.restart()
    assert stage.join("w1") == 9


def test_reducers_find_the_runs(stage: Stage) -> None:
    stage.join("w1", slots=3)
    stage.join("w2", slots=1)
    job = stage.submit(maps=3)
    launched = stage.take_orders(*ATTEMPTS)
    maps = [(who, order) for who, order in launched if isinstance(order, w.LaunchMap)]
    for worker, order in maps[:2]:
        stage.succeed(worker, order)
    found = stage.ask(w.FindRuns(job, 0), w.RunLocations, Peer(Role.WORKER, "w1"))
    assert {(run.map, run.attempt) for run in found.runs} == {(0, 1), (1, 1)}
    assert found.next == 3
    assert {address.worker for address in found.workers} == {who for who, _ in maps[:2]}
    later = stage.ask(w.FindRuns(job, 0, 3), w.RunLocations, Peer(Role.WORKER, "w1"))
    assert (later.runs, later.next) == ((), 3)
    with pytest.raises(NotFound):
        stage.ask(w.FindRuns("j-20261121-0007", 0), w.RunLocations, Peer(Role.WORKER, "w1"))


def test_runs_that_cannot_be_fetched_are_made_again(stage: Stage) -> None:
    stage.join("w1", slots=2)
    job = stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", order)
    ((_, reduce),) = stage.take_orders(*ATTEMPTS)
    run = w.AttemptId(job, 0, w.TaskKind.MAP, 0, 1)
    assert stage.tell("w1", w.RunsLost(w.AttemptId.of(reduce.task), (run,))) == Ok()
    assert stage.tell("w1", w.RunsLost(run, (run,))) == Ok(), "committed: nothing to do"
    ((_, again),) = stage.take_orders(*ATTEMPTS)
    assert (again.task.index, again.task.attempt) == (0, 2)
    stage.succeed("w1", again)
    stage.succeed("w1", reduce)
    report = stage.report()
    assert report.state is w.JobState.SUCCEEDED
    assert report.counters == {"user": {"words": 2}}, "the second map counts instead of the first"


def test_after_a_restart_the_job_goes_on(stage: Stage) -> None:
    stage.join("w1", slots=1)
    job = stage.submit(maps=2)
    ((_, first),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", first)
    ((_, second),) = stage.take_orders(*ATTEMPTS)
    stage.restart()
    assert stage.report().maps == w.TaskCounts(2, 1, 0, 0)
    with pytest.raises(NotFound):
        stage.succeed("w1", second)
    run, ident = w.AttemptId.of(first.task), w.AttemptId.of(second.task)
    stage.join("w1", slots=1, attempts=(ident,), runs=(run,))
    assert stage.tell("w1", w.AttemptSucceeded(ident, {}, 3, 3, 4)) == Ok()
    (_, adopted) = stage.ask(w.ListTasks(job, w.TaskKind.MAP), w.TaskList).tasks
    assert (adopted.locality, adopted.miss) == ("remote", "its input is stored with the namenode")
    ((_, reduce),) = stage.take_orders(*ATTEMPTS)
    stage.succeed("w1", reduce, records=6)
    assert stage.report(job).state is w.JobState.SUCCEEDED
    assert stage.names("/out") == ["_SUCCESS", "part-r-00000"]


def test_a_restart_between_the_last_task_and_the_commit_of_the_job(stage: Stage) -> None:
    stage.join("w1")
    job = stage.submit(maps=1, reducer=False)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    worker = Peer(Role.WORKER, "w1")
    stage.put(f"{order.folder}/part-m-00000", peer=worker)
    ident = w.AttemptId.of(order.task)
    word = w.AttemptSucceeded(ident, {}, 1, 1, 1, ("part-m-00000",))
    event = Received(Origin(worker, 1, 7), word)
    stage.take(stage.core.handle(stage.view(), event, stage.now))
    assert stage.master.state.jobs[job].all_done
    stage.restart()
    assert stage.names("/out") == ["_SUCCESS", "part-m-00000"]


def test_applying_the_records_again_gives_the_same_tables(stage: Stage) -> None:
    stage.join("w1", slots=2)
    stage.submit(maps=3, partitions=2)
    for number in (1, 2):
        ident = w.AttemptId(FIRST, 0, w.TaskKind.MAP, 0, number)
        stage.tell("w1", w.AttemptFailed(ident, w.FailureKind.CRASH, "signal 9"))
    stage.run_all()
    replayed = MemoryTable(MODULE.tables)
    for index, commands in stage.records:
        for command in commands:
            data = msgspec.msgpack.encode(command)
            again = msgspec.msgpack.decode(data, type=type(command))
            assert again == command
            if type(command) in MODULE.commands:
                MODULE.apply(replayed, index, again)
    for table in MODULE.tables:
        assert replayed.scan(table, b"\0", 9999) == stage.table.scan(table, b"\0", 9999)


def test_an_unknown_message_of_a_worker_is_answered(stage: Stage) -> None:
    (answer,) = stage.handle(Peer(Role.WORKER, "w1"), w.KillJob("@last"))
    assert isinstance(answer, Failed)

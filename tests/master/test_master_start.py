"""The master reads its jobs in slices when it starts, and serves nobody before it is done."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dfs.errors import Unavailable
from dfs.events import Origin, Peer, Received, Reply, Role
from dfs.limits import SECOND_NS
from dfs.wire.codec import Message
from dfs.wire.common import Failed
from mapreduce import wire as w
from mapreduce.job import StepSpec
from mapreduce.limits import ADOPTION_WAIT_NS
from mapreduce.master import standing, steps
from mapreduce.wire import AttemptId, TaskCounts
from tests.master.master_stage import ANNA, ATTEMPTS, Stage, spec

MAPS = 7
WORKER = Peer(Role.WORKER, "w1")
CHAIN = (StepSpec(2, False, True), StepSpec(2, False, False))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Slices are of two tasks, or of one job that does not run."""
    monkeypatch.setattr(standing, "TASKS_READ_PER_STEP", 2)
    monkeypatch.setattr(steps, "TASKS_READ_PER_STEP", 2)
    monkeypatch.setattr(standing, "JOBS_READ_PER_STEP", 1)
    return Stage()


def half_done(stage: Stage) -> tuple[str, list[AttemptId], list[AttemptId]]:
    """A job of which three maps are committed and four run: its id, those and these."""
    stage.join("w1", slots=MAPS)
    job = stage.submit(maps=MAPS)
    orders = [order for _, order in stage.take_orders(*ATTEMPTS)]
    for order in orders[:3]:
        stage.succeed("w1", order)
    attempts = [AttemptId.of(order.task) for order in orders]
    return job, attempts[:3], attempts[3:]


def slices(stage: Stage) -> Iterator[int]:
    """The master starts; the tasks of which the scheduler knows before each slice."""
    stage.boot()
    while stage.master.is_starting:
        assert stage.master.next_deadline() == 0
        yield sum(len(list(job.maps.made())) for job in stage.master.state.jobs.values())
        stage.take(stage.master.on_deadline(stage.view(), stage.now))


def refusal(stage: Stage, peer: Peer, word: Message) -> Failed:
    """What somebody is answered now, and nothing else happens."""
    event = Received(Origin(peer, 1, 7), word)
    (reply,) = stage.take(stage.master.handle(stage.view(), event, stage.now))
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Failed)
    return reply.message


def test_the_rows_of_a_job_are_read_a_few_at_a_time(stage: Stage) -> None:
    half_done(stage)
    known = list(slices(stage))
    counted, told = [0, 0, 0, 0], [0, 2, 4, 6]
    ends = [MAPS, MAPS]
    assert known == counted + told + ends


def test_nobody_is_served_before_all_jobs_are_read(stage: Stage) -> None:
    job, done, running = half_done(stage)
    register = w.RegisterWorker(("tcp://w1:1",), "h", "", MAPS, tuple(running))
    words = ((WORKER, register), (WORKER, w.WorkerHeartbeat(())), (ANNA, w.WatchJob(job)))
    for _ in slices(stage):
        for peer, word in words:
            refused = refusal(stage, peer, word)
            assert refused.number == Unavailable.number
            assert refused.text == "the master starts: it reads what the log knows of its jobs"
    assert not stage.take_orders(*ATTEMPTS, w.KillAttempt)
    stage.join("w1", slots=MAPS, attempts=tuple(running), runs=tuple(done))
    assert stage.report(job).maps == TaskCounts(MAPS, 3, 4)
    assert not stage.take_orders(*ATTEMPTS, w.KillAttempt)


def test_a_long_reading_takes_no_time_from_those_who_come_back(stage: Stage) -> None:
    job, done, running = half_done(stage)
    for _ in slices(stage):
        stage.mono_ns += 30 * SECOND_NS
    stage.advance(ADOPTION_WAIT_NS // SECOND_NS - 1)
    stage.join("w1", slots=MAPS, attempts=tuple(running), runs=tuple(done))
    stage.advance(3, "w1")
    assert not stage.take_orders(*ATTEMPTS, w.KillAttempt)
    assert stage.report(job).maps == TaskCounts(MAPS, 3, 4)


def test_all_jobs_are_taken_up_whatever_their_state(stage: Stage) -> None:
    stage.join("w1", slots=2)
    ended = stage.submit(maps=1, output="/a", token=b"a")
    stage.run_all()
    chain = stage.submit(maps=1, output="/b", token=b"b", steps=CHAIN)
    for _ in range(2):
        for worker, order in stage.take_orders(*ATTEMPTS):
            stage.succeed(worker, order)
    waits = stage.submit(maps=3, output="/c", token=b"c")
    word = w.SubmitJob(b"d", spec(), "/d")
    new = stage.ask(word, w.JobSubmitted).job
    reports = {job: stage.report(job) for job in (ended, chain, waits, new)}
    assert list(slices(stage))
    stage.settle()
    for job, before in reports.items():
        after = stage.report(job)
        assert (after.state, after.counters) == (before.state, before.counters)
        assert (after.maps.done, after.reduces.done) == (before.maps.done, before.reduces.done)
    assert stage.ask(word, w.JobSubmitted).job == new
    assert stage.master.state.jobs[chain].step == 1
    started = [job for job in reports if "master_started" in kinds(stage, job)]
    assert started == [chain, waits]


def kinds(stage: Stage, job: str) -> list[str]:
    """What happened to a job."""
    return [event.kind for event in stage.ask(w.ListEvents(job), w.EventList).events]

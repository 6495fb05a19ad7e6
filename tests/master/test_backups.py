"""Backup attempts: when a slow task gets one, where it runs, and how it ends."""

from __future__ import annotations

import pytest

from dfs.limits import SECOND_NS
from mapreduce.limits import BACKUP_AFTER_NS, SLOW_WORKER_PERCENT
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.wire import AttemptProgress
from tests.master.scripts import JOB, Script, attempt, line, short

SECOND = "j-20261121-0002"
OLD_S = BACKUP_AFTER_NS // SECOND_NS


class Slow(Script):
    """Heartbeats say how far each attempt is; the rest is as in a script."""

    def second(self, **workers: str) -> list[str]:
        """A second passes; ``w1="m0.1=0.5"``: what each worker says, in parts of one."""
        self.now_ns += SECOND_NS
        lines: list[str] = []
        for worker, words in workers.items():
            progress = []
            for word in words.split():
                name, _, fraction = word.partition("=")
                progress.append(AttemptProgress(attempt(name), 10, float(fraction or 0)))
            lines += self.tell(ev.Heartbeat(worker, tuple(progress)))
        return lines + self.settle()

    def second_of_all(self) -> list[str]:
        """A second in which every attempt runs on and is not far yet."""
        workers = self.state.workers.values()
        lines = [
            said
            for worker in workers
            for said in self.tell(
                ev.Heartbeat(
                    worker.name, tuple(AttemptProgress(a, 9, 0.02) for a in worker.running)
                )
            )
        ]
        return lines + self.second()


def slow_map(speculative: bool = True) -> Slow:
    """Three maps took 5 s on w1, w2 and w3; the one on w4 is at a tenth after as long."""
    script = Slow()
    for name in ("w1", "w2", "w3", "w4"):
        script.join(name)
    script.job(4, 0, speculative=speculative)
    for _ in range(5):
        script.second(w1="m0.1=0.5", w2="m1.1=0.5", w3="m2.1=0.5", w4="m3.1=0.02")
    for index in range(3):
        script.done(f"m{index}.1", f"w{index + 1}")
    return script


def wait_for_backup(script: Slow, running: str = "m3.1=0.1") -> tuple[int, list[str]]:
    """The second in which something is started, and what."""
    for second in range(6, 60):
        lines = script.second(w1="", w2="", w3="", w4=running)
        if lines:
            return second, lines
    return 0, []


def test_a_slow_map_gets_a_backup_elsewhere_and_the_first_to_end_wins() -> None:
    script = slow_map()
    second, lines = wait_for_backup(script)
    assert lines == ["launch m3.2 w1"]
    assert second >= OLD_S, "not before it is worth it"
    assert script.second(w1="m3.2=0.9", w2="", w3="", w4="m3.1=0.2") == [], "one is enough"
    assert script.done("m3.2", "w1") == ["tell attempt_killed", "kill m3.1 w4", f"publish {JOB}"]
    assert script.done("m3.1", "w4") == [], "the loser changes nothing"
    assert script.state.backups == 0


def test_the_first_attempt_may_win_too() -> None:
    script = slow_map()
    wait_for_backup(script)
    assert script.done("m3.1", "w4") == ["tell attempt_killed", "kill m3.2 w1", f"publish {JOB}"]


@pytest.mark.parametrize("first_dies", [True, False])
def test_when_one_of_both_fails_the_other_goes_on(first_dies: bool) -> None:
    script = slow_map()
    wait_for_backup(script)
    dead, alive = (("m3.1", "w4"), ("m3.2", "w1"))[:: 1 if first_dies else -1]
    assert script.fail(*dead) == ["tell attempt_failed"]
    task = script.state.jobs[JOB].maps[3]
    assert [running.id for running in task.attempts] == [attempt(alive[0])]
    assert script.done(*alive) == [f"publish {JOB}"]


def test_a_job_that_wants_none_gets_none() -> None:
    assert wait_for_backup(slow_map(speculative=False)) == (0, [])


def test_an_attempt_that_is_nearly_done_gets_none() -> None:
    script = slow_map()
    for second in range(6, 60):
        assert script.second(w1="", w2="", w3="", w4=f"m3.1={0.99 + second / 10_000}") == []


def test_an_attempt_that_is_nearly_done_and_stands_still_gets_one() -> None:
    script = slow_map()
    second, lines = wait_for_backup(script, "m3.1=1.0")
    assert lines == ["launch m3.2 w1"]
    assert second >= 5 + OLD_S, "it said something new in the sixth second"


def test_one_that_is_as_fast_as_others_gets_none() -> None:
    script = Slow()
    for name in ("w1", "w2", "w3"):
        script.join(name)
    script.job(2, 0, speculative=True)
    for second in range(1, 60):
        part = second / 100
        assert script.second(w1=f"m0.1={part}", w2=f"m1.1={part}", w3="") == []


def test_one_alone_is_compared_with_nothing() -> None:
    script = Slow()
    script.join("w1")
    script.join("w2")
    script.job(1, 0, speculative=True)
    for _ in range(60):
        assert script.second(w1="m0.1=0.01", w2="") == []


def test_without_anything_done_the_running_ones_are_the_measure() -> None:
    script = Slow()
    for name in ("w1", "w2", "w3"):
        script.join(name)
    script.job(2, 0, speculative=True)
    lines: list[str] = []
    for second in range(1, 30):
        lines += script.second(w1=f"m0.1={second / 40}", w2="m1.1=0.01", w3="")
    assert lines == ["launch m1.2 w3"]


def test_tasks_that_wait_go_before_backups() -> None:
    script = Slow()
    script.join("w1")
    script.join("w2")
    script.job(3, 0, speculative=True)
    script.now_ns += SECOND_NS
    assert script.done("m0.1", "w1") == ["launch m2.1 w1"]
    for _ in range(30):
        assert script.second(w1="m2.1=0.01", w2="m1.1=0.01") == []


def test_a_tenth_of_the_slots_and_no_slow_worker() -> None:
    script = Slow()
    names = [f"w{number}" for number in range(10)]
    for name in names:
        script.join(name, slots=2)
    script.job(20, 0, speculative=True)
    script.now_ns += SECOND_NS
    for action in [a for a in script.said if isinstance(a, ac.LaunchAttempt)]:
        if action.worker not in ("w0", "w1", "w2", "w3"):
            script.tell(ev.AttemptSucceeded(action.attempt, action.worker))
    script.said.clear()
    for _ in range(30):
        slow = {
            name: " ".join(f"m{a.index}.{a.attempt}=0.01" for a in worker.running)
            for name, worker in script.state.workers.items()
        }
        script.second(**slow)
        assert script.state.backups <= 2
    launched = [action for action in script.said if isinstance(action, ac.LaunchAttempt)]
    assert len(launched) == 2, [line(action) for action in launched]
    assert not {action.worker for action in launched} & {"w0", "w1", "w2", "w3"}


def test_a_reduce_is_slow_only_after_the_last_map() -> None:
    script = Slow()
    for name in ("w1", "w2", "w3", "w4"):
        script.join(name)
    script.job(2, 2, speculative=True)
    for second in range(1, 21):
        part = second / 35
        assert not script.second(w1=f"m0.1={part}", w2=f"m1.1={part}", w3="", w4="")
    assert script.done("m0.1", "w1") == ["launch r0.1 w1", "launch r1.1 w3"]
    for second in range(21, 51):
        part = min(second / 35, 1)
        assert not script.second(w1="r0.1=0", w2=f"m1.1={part}", w3="r1.1=0", w4=""), second
    script.done("m1.1", "w2")
    lines: list[str] = []
    for second in range(1, OLD_S + 5):
        part = second / 40
        lines += script.second(w1="r0.1=0.01", w2="", w3=f"r1.1={part}", w4="")
    assert lines == ["launch r0.2 w2"]


def early_everywhere(reduces: int = 3) -> Slow:
    """As in ``slow_map``, but early reduces took the slots of w1, w2 and w3, in this order."""
    script = Slow()
    for name in ("w1", "w2", "w3", "w4"):
        script.join(name)
    script.job(4, reduces, speculative=True)
    for _ in range(5):
        script.second(w1="m0.1=0.5", w2="m1.1=0.5", w3="m2.1=0.5", w4="m3.1=0.02")
    for index in range(3):
        script.done(f"m{index}.1", f"w{index + 1}")
        script.second_of_all()
    running = script.state.jobs[JOB].running
    assert [short(ident) for ident in running] == ["m3.1", "r0.1", "r1.1", "r2.1"]
    return script


def test_the_newest_early_reduce_is_killed_for_a_backup_and_only_that_one() -> None:
    script = early_everywhere()
    lines = [line for _ in range(OLD_S) for line in script.second_of_all()]
    assert lines == ["tell attempt_killed", "kill r2.1 w3", "launch m3.2 w3"]
    assert script.now_ns >= BACKUP_AFTER_NS
    for _ in range(2 * OLD_S):
        assert script.second_of_all() == []
    lines = script.done("m3.2", "w3")
    assert lines == ["tell attempt_killed", "kill m3.1 w4", "launch r2.2 w3"]
    assert script.state.backups == 0


def test_a_slot_that_gets_free_goes_to_the_backup_before_a_reduce_that_waits() -> None:
    script = early_everywhere(reduces=5)
    while script.now_ns < BACKUP_AFTER_NS:
        assert script.second_of_all() == []
    script.now_ns += SECOND_NS
    assert script.fail("r0.1", "w1") == ["tell attempt_failed", "launch m3.2 w1"]


def test_no_reduce_is_killed_in_vain() -> None:
    script = early_everywhere()
    script.state.jobs[JOB].speculative = False
    for _ in range(OLD_S):
        assert script.second_of_all() == [], "the job wants none"
    script.state.jobs[JOB].speculative = True
    workers = script.state.workers
    for name in ("w1", "w2", "w3"):
        workers[name].pace_percent = SLOW_WORKER_PERCENT
    assert script.second_of_all() == [], "they are slow themselves"
    workers["w1"].pace_percent = 100
    assert script.second_of_all() == ["tell attempt_killed", "kill r0.1 w1", "launch m3.2 w1"]


@pytest.mark.parametrize("is_later", [True, False])
def test_early_reduces_are_killed_for_an_earlier_job_and_not_for_a_later_one(
    is_later: bool,
) -> None:
    script = Slow()
    for name in ("w1", "w2", "w3", "w4"):
        script.join(name)
    slow, early = (JOB, SECOND)[:: 1 if is_later else -1]
    for ident in (JOB, SECOND):
        script.job(2, 2 * (ident == early), ident=ident, speculative=ident == slow)
    where = {(a.job, a.index): w.name for w in script.state.workers.values() for a in w.running}
    script.now_ns += SECOND_NS
    script.done("m0.1", where[early, 0], early)
    script.done("m0.1", where[slow, 0], slow)
    assert len(script.state.jobs[early].running) == 3, "its reduces have both slots"
    lines = [line for _ in range(OLD_S) for line in script.second_of_all()]
    host = where[slow, 0]
    killed = ["tell attempt_killed", f"kill 2/r1.1 {host}", f"launch m1.2 {host}"]
    assert lines == (killed if is_later else [])


def test_no_more_early_reduces_are_killed_than_backups_may_run() -> None:
    script = Slow()
    for number in range(8):
        script.join(f"w{number}")
    script.job(8, 8, speculative=True)
    script.now_ns += SECOND_NS
    for index in range(5):
        script.done(f"m{index}.1", f"w{index}")
    lines = [line for _ in range(2 * OLD_S) for line in script.second_of_all()]
    assert lines == ["tell attempt_killed", "kill r4.1 w4", "launch m5.2 w4"]
    lines = script.done("m5.2", "w4")
    assert lines[-2:] == ["launch r4.2 w4", "launch r5.1 w5"]

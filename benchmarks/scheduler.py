"""``python -m benchmarks.scheduler [--write] [--profile]``: the scheduler alone, simulated.

A job of 100,000 maps and 1,000 reduces runs on 1,000 workers of 4 slots in 20 racks; each map has
its input on 3 random nodes and takes 20 to 60 s of virtual time, 1 in 500 fails, and each worker
sends heartbeats. A decision is an attempt that is started or whose end is taken in. Only the
CPU time spent in the scheduler counts. ``--write`` puts the table into docs/benchmarks.md,
``--profile`` prints where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import pstats
import resource
import sys
import time
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

from benchmarks.report import Row, render, write_page
from dfs.limits import MS_NS, SECOND_NS
from mapreduce.limits import LOCATED_PER_STEP
from mapreduce.master import actions as ac
from mapreduce.master import events as ev
from mapreduce.master.scheduler import Scheduler
from mapreduce.wire import AttemptId, AttemptProgress, FailureKind, TaskKind

COMMAND = "python -m benchmarks.scheduler"
JOB = "j-20261121-0001"
RACKS = 20
FAILS_ONE_IN = 500
TAKES_S = (20, 60)


@dataclass
class Simulation:
    """The world around one scheduler: workers that obey, and a clock."""

    workers: int
    slots: int
    maps: int
    reduces: int
    rng: Random = field(default_factory=lambda: Random("scheduler"))
    scheduler: Scheduler = field(
        default_factory=lambda: Scheduler(SECOND_NS, 5 * SECOND_NS, 20 * SECOND_NS)
    )
    now_ns: int = SECOND_NS
    spent_ns: int = 0
    longest_ns: int = 0
    submit_ns: int = 0
    beats: int = 0
    beats_ns: int = 0
    decisions: int = 0
    ended: bool = False
    running: dict[str, dict[AttemptId, int]] = field(default_factory=dict)
    queue: list[tuple[int, int, str, AttemptId | None]] = field(default_factory=list)
    pushed: int = 0

    def run(self) -> None:
        """From the first registration to the end of the job."""
        for number in range(self.workers):
            name, node = f"worker-{number}", f"datanode-{number}"
            self.running[name] = {}
            self.tell(ev.WorkerJoined(name, node, self.slots, (), f"rack-{number % RACKS}"))
            self.tell(ev.RunsAnnounced(name, (), True))
            self.push(self.now_ns + number * SECOND_NS // self.workers, name, None)
        before_ns = self.spent_ns
        self.tell(ev.JobSubmitted(JOB, self.maps, self.reduces, 4))
        self.submit_ns = self.spent_ns - before_ns
        while not self.ended:
            self.settle()
            self.now_ns, _, name, attempt = heappop(self.queue)
            if attempt is None:
                self.beat(name)
            elif attempt in self.running[name]:
                self.finish(name, attempt)

    def push(self, at_ns: int, name: str, attempt: AttemptId | None) -> None:
        """Something happens at a moment."""
        self.pushed += 1
        heappush(self.queue, (at_ns, self.pushed, name, attempt))

    def tell(self, event: ev.Event) -> None:
        """One event, timed."""
        began_ns = time.thread_time_ns()
        actions = self.scheduler.handle(event, self.now_ns)
        took_ns = time.thread_time_ns() - began_ns
        if isinstance(event, ev.Heartbeat):
            self.beats += 1
            self.beats_ns += took_ns
        else:
            self.spent_ns += took_ns
        self.longest_ns = max(self.longest_ns, took_ns)
        for action in actions:
            self.obey(action)

    def settle(self) -> None:
        """What is due now, as the master's core does it."""
        while True:
            began_ns = time.thread_time_ns()
            due_ns = self.scheduler.next_deadline()
            is_due = due_ns is not None and due_ns <= self.now_ns
            found = self.scheduler.unlocated(LOCATED_PER_STEP, self.now_ns) if is_due else []
            self.spent_ns += time.thread_time_ns() - began_ns
            if found:
                self.tell(ev.MapsLocated(JOB, tuple((t.index, self.nodes()) for _, t in found)))
            if not is_due:
                return
            self.tell(ev.TimePassed())

    def nodes(self) -> tuple[str, ...]:
        """Three random nodes."""
        numbers = self.rng.sample(range(self.workers), 3)
        return tuple(f"datanode-{number}" for number in numbers)

    def obey(self, action: ac.Action) -> None:
        """Do as the scheduler says."""
        match action:
            case ac.LaunchAttempt():
                self.decisions += 1
                takes_ns = self.rng.randint(*TAKES_S) * SECOND_NS
                self.running[action.worker][action.attempt] = self.now_ns + takes_ns
                self.push(self.now_ns + takes_ns, action.worker, action.attempt)
            case ac.KillAttempt():
                self.running[action.worker].pop(action.attempt, None)
            case ac.PublishOutput():
                self.tell(ev.OutputPublished(action.job))
            case ac.EndJob():
                self.ended = True
            case _:
                pass

    def beat(self, name: str) -> None:
        """A heartbeat, and the next one in a second."""
        words = tuple(
            AttemptProgress(attempt, 1, 1 - (ends_ns - self.now_ns) / (TAKES_S[1] * SECOND_NS))
            for attempt, ends_ns in self.running[name].items()
        )
        self.tell(ev.Heartbeat(name, words))
        self.push(self.now_ns + SECOND_NS, name, None)

    def finish(self, name: str, attempt: AttemptId) -> None:
        """An attempt ends."""
        del self.running[name][attempt]
        self.decisions += 1
        if attempt.kind is TaskKind.MAP and not self.rng.randrange(FAILS_ONE_IN):
            self.tell(ev.AttemptFailed(attempt, name, FailureKind.NODE, "it broke"))
        else:
            self.tell(ev.AttemptSucceeded(attempt, name))


def peak_bytes() -> int:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(workers: int, maps: int, reduces: int) -> list[Row]:
    """All figures."""
    simulation = Simulation(workers, 4, maps, reduces)
    before = peak_bytes()
    gc.disable()
    simulation.run()
    gc.enable()
    per_second = simulation.decisions / simulation.spent_ns * SECOND_NS
    bytes_each = (peak_bytes() - before) / (maps + reduces)
    size = f"{workers:,} workers, {maps:,} maps, {reduces:,} reduces"
    return [
        Row("decisions of the scheduler alone", f"{per_second:,.0f}/s", size),
        Row(
            "its longest single step",
            f"{simulation.longest_ns / MS_NS:.1f} ms",
            "of CPU time, without garbage collection",
        ),
        Row(
            "a heartbeat with 4 attempts",
            f"{simulation.beats_ns / simulation.beats / 1000:.1f} µs",
            "not counted above",
        ),
        Row("taking in that job", f"{simulation.submit_ns / MS_NS:.2f} ms", ""),
        Row("memory", f"{bytes_each:.0f} bytes a task", "at its peak, the simulation included"),
    ]


def main() -> None:
    """Parse the options, measure, report."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--maps", type=int, default=100_000)
    parser.add_argument("--reduces", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    options = parser.parse_args()
    if options.profile:
        profile = cProfile.Profile()
        simulation = Simulation(options.workers, 4, options.maps, options.reduces)
        profile.runcall(simulation.run)
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    table = render(measure(options.workers, options.maps, options.reduces), COMMAND, 1)
    sys.stdout.write(table + "\n")
    if options.write:
        write_page(table, COMMAND)


if __name__ == "__main__":
    main()

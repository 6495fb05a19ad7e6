"""A worker, as the scheduler knows it: what it offers, what it runs, which map output it holds."""

from __future__ import annotations

from dataclasses import dataclass, field

from mapreduce.master.task import Attempt
from mapreduce.wire import AttemptId


@dataclass(slots=True)
class Worker:
    """A worker; ``announced``: it has said which runs it holds, and may get work.

    ``runs`` are committed map outputs that it holds: job, map index, attempt. ``doubted`` are
    those that it has not named since it joined or died. A worker that the log names and that has
    not come back since the master started is expected: it has no slots. One that is ``leaving``
    gets no work any more.

    No lease of its attempts ends before ``lease_ns``. ``failures`` are those by the fault of its
    node since anything succeeded there, see ``avoid``. ``pace_percent`` is what attempts take
    there beside what is typical, see ``backup``.
    """

    name: str
    seen_ns: int
    node: str = ""
    slots: int = 0
    connected: bool = False
    announced: bool = False
    dead: bool = False
    leaving: bool = False
    failures: int = 0
    avoided_why: str = ""
    pace_percent: int = 100
    lease_ns: int = 0
    running: dict[AttemptId, Attempt] = field(default_factory=dict)
    runs: dict[str, dict[int, int]] = field(default_factory=dict)
    doubted: dict[str, dict[int, int]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Free slots."""
        return self.slots - len(self.running)

    @property
    def is_here(self) -> bool:
        """May it get work, as long as it is not silent?"""
        return self.connected and self.announced and not self.leaving

    def forgive(self) -> None:
        """Something succeeded here, or what failed has had its consequence."""
        self.failures = 0

    def doubt(self) -> None:
        """Whatever it held, it has yet to name."""
        held, self.runs = self.runs, {}
        for job, runs in held.items():
            self.doubted.setdefault(job, runs).update(runs)

    def hold(self, run: AttemptId) -> None:
        """It holds this committed run."""
        self.let_go(run.job, run.index)
        self.runs.setdefault(run.job, {})[run.index] = run.attempt

    def doubts(self, run: AttemptId) -> bool:
        """Is this a run that it has not named?"""
        return self.doubted.get(run.job, {}).get(run.index) == run.attempt

    def let_go(self, job: str, index: int) -> None:
        """It does not hold the run of a map any more."""
        for places in (self.runs, self.doubted):
            held = places.get(job, {})
            if held.pop(index, None) is not None and not held:
                del places[job]

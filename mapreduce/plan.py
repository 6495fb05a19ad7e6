"""The plan of a job: its steps one after the other, and the tasks of each.

A pure function of the job's description and of the number of its splits, never of nodes or of
the runner, so that every runner makes the same tasks. The first step has a map for each split;
a later one has a map for each part that the step before leaves: map 3 reads part 3, whole. What
lies between two steps are exact records (`mapreduce.formats.exact`), out of sight and gone with
the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapreduce.job import FileSplit, JobSpec, MapTask, ReduceTask, StepSpec, part_name


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of a job, counted from 0, and how many maps it has."""

    job: JobSpec
    index: int
    maps: int

    @property
    def spec(self) -> StepSpec:
        """The step's description."""
        return self.job.steps[self.index]

    @property
    def is_last(self) -> bool:
        """Do its parts hold the job's output?"""
        return self.index == len(self.job.steps) - 1

    @property
    def reduces(self) -> int:
        """How many reduces it has; 0 for a step of maps alone."""
        return self.spec.partitions if self.spec.has_reducer else 0

    @property
    def parts(self) -> int:
        """How many parts its tasks leave."""
        return self.reduces if self.spec.has_reducer else self.maps

    def part_names(self) -> list[str]:
        """The parts' names, in the order of their records."""
        return [part_name(self.spec, index) for index in range(self.parts)]

    def map_task(self, job_id: str, index: int, split: FileSplit, attempt: int = 1) -> MapTask:
        """One attempt at one of its maps."""
        job = self.job
        return MapTask(
            job_id,
            self.index,
            index,
            attempt,
            split,
            self.spec,
            job.settings,
            job.collect,
            self.is_last,
        )

    def reduce_task(self, job_id: str, index: int, attempt: int = 1) -> ReduceTask:
        """One attempt at one of its reduces."""
        job = self.job
        return ReduceTask(
            job_id,
            self.index,
            index,
            attempt,
            self.maps,
            self.spec,
            job.settings,
            job.collect,
            self.is_last,
        )


def plan_of(job: JobSpec, splits: int) -> tuple[StepPlan, ...]:
    """The steps of a job whose inputs make so many splits."""
    plans: list[StepPlan] = []
    for index in range(len(job.steps)):
        plans.append(StepPlan(job, index, plans[-1].parts if plans else splits))
    return tuple(plans)


def whole(path: str, size_bytes: int) -> FileSplit:
    """The split of a map that reads a part of the step before."""
    return FileSplit(path, 0, size_bytes, size_bytes)

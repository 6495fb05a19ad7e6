"""Whatever is lost, doubled, damaged or late: a reduce stores each segment, once and whole.

The fetcher is judged by a world that knows nothing of plans: it has the bytes of each map, answers
what it is asked in any order, and puts together what is to be stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from dfs.errors import NotFound
from dfs.events import Action, Origin, Send, Work
from dfs.limits import MS_NS, SECOND_NS
from mapreduce.errors import RunCorrupt
from mapreduce.limits import RUNS_PER_FETCH_MAX
from mapreduce.wire import (
    FetchRuns,
    FindRuns,
    RunLocation,
    RunLocations,
    RunsData,
    RunsLost,
    SegmentPiece,
    WorkerAddress,
)
from mapreduce.worker.chores import Numbers
from mapreduce.worker.fetcher import Fetcher, ReadToken, StoreToken
from mapreduce.worker.work import ReadRuns, RunPack, StoreSegments
from tests.worker.worker_bench import SETTINGS, reduce_attempt

ROOM_BYTES = 8
"""What the holders here put into an answer."""
PAGE = 7
HOLDERS = (
    WorkerAddress("worker-1", ("ipc:///w1",), "host-1"),
    WorkerAddress("worker-2", ("tcp://127.0.0.1:2",), "host-2"),
    WorkerAddress("worker-3", ("tcp://127.0.0.1:3",), "host-3"),
)
"""The first is the worker that fetches."""


@dataclass
class World:
    """The holders, the master, the disk and all that is under way."""

    sizes: Sequence[int]
    fetcher: Fetcher = field(default_factory=lambda: Fetcher(SETTINGS, Numbers()))
    now_ns: int = SECOND_NS
    under_way: list[Send | Work] = field(default_factory=list)
    stored: dict[int, bytes] = field(default_factory=dict)
    """What the disk has of each map."""
    whole: set[int] = field(default_factory=set)
    attempts: dict[int, int] = field(default_factory=dict)
    """The attempt whose run there is, by map; 1 where none is named."""

    def __post_init__(self) -> None:
        self.fetcher.add(reduce_attempt(), len(self.sizes))

    def happen(self, what: str, which: int) -> None:
        """Something happens to one of the things under way, or to one of the maps."""
        if what == "a run is lost":
            self.run_again(which % len(self.sizes))
        elif what == "time passes":
            self.wait(which * 100 * MS_NS)
        elif self.under_way:
            self.deal(self.under_way[which % len(self.under_way)], what)

    def wait(self, duration_ns: int) -> None:
        """Let time pass and do what is due."""
        self.now_ns += duration_ns
        actions, lost = self.fetcher.on_deadline(self.now_ns)
        self.take(actions, lost)

    def calm_down(self) -> None:
        """From now on all goes well."""
        for _ in range(100 + len(self.sizes)):
            while self.under_way:
                self.deal(self.under_way[0], "is done")
            if not self.fetcher.is_fetching(reduce_attempt()):
                return
            self.wait(SECOND_NS)
        raise AssertionError("the fetches do not end")

    def deal(self, one: Send | Work, how: str) -> None:
        """Answer a request or do a piece of work, well or not. Work is done once."""
        if isinstance(one, Work) or how != "is done, and again":
            self.under_way.remove(one)
        match one:
            case Work(task=ReadRuns() as read):
                self.read(one, read, how)
            case Work(task=StoreSegments() as brought):
                self.store(one, brought, how)
            case Send(message=FindRuns() as question) if how != "is lost":
                self.take(self.fetcher.located(one.request, self.found(question), self.now_ns), [])
            case Send(message=FetchRuns() as asked) if how != "is lost":
                self.answer(one, asked, how)

    def take(self, actions: list[Action], lost: list[RunsLost]) -> None:
        """What the fetcher wants; maps run again whose runs it gave up."""
        for action in actions:
            assert isinstance(action, Send | Work)
            self.under_way.append(action)
        for run in (run for report in lost for run in report.runs):
            if run.attempt == self.attempts.get(run.index, 1):
                self.run_again(run.index)

    def run_again(self, index: int) -> None:
        """The run of a map is gone, and there is another."""
        self.attempts[index] = self.attempts.get(index, 1) + 1

    def found(self, question: FindRuns) -> RunLocations:
        """Where the runs of a page of maps are."""
        maps = range(question.first, min(question.first + PAGE, len(self.sizes)))
        runs = (RunLocation(i, self.attempts.get(i, 1), i % len(HOLDERS)) for i in maps)
        return RunLocations(tuple(runs), HOLDERS, maps.stop)

    def answer(self, send: Send, asked: FetchRuns, how: str) -> None:
        """A holder answers, with bytes that may be damaged on their way."""
        assert 1 <= len(asked.runs) <= RUNS_PER_FETCH_MAX
        origin = Origin(send.to, 1, send.request)
        if how == "fails":
            self.take([], self.fetcher.refused(origin, self.now_ns))
            return
        pieces, gone, payload = self.packed(
            [(run.map, run.attempt) for run in asked.runs], asked.offset
        )
        data = RunsData(pieces, gone, xxh3_64_intdigest(payload))
        came = payload[:-1] + b"?" if how == "is damaged" and payload else payload
        self.take(*self.fetcher.received(origin, data, came, self.now_ns))

    def read(self, work: Work, asked: ReadRuns, how: str) -> None:
        """Runs held here are read."""
        assert isinstance(work.token, ReadToken)
        pack = None
        if how != "fails":
            runs = [(run.index, run.attempt) for run in asked.runs]
            pieces, gone, payload = self.packed(runs, asked.offset)
            unreadable = {run: "gone" for run in asked.runs if run.index in gone}
            pack = RunPack(pieces, unreadable, xxh3_64_intdigest(payload), payload)
        self.take(*self.fetcher.read(work.token, pack, self.now_ns))

    def packed(
        self, runs: Sequence[tuple[int, int]], offset: int
    ) -> tuple[tuple[SegmentPiece, ...], tuple[int, ...], bytes]:
        """Pieces, maps whose run is gone, and the bytes of the pieces."""
        pieces: list[SegmentPiece] = []
        gone = []
        payload = b""
        for index, attempt in runs:
            data = self.content(index)[offset:]
            offset = 0
            if attempt != self.attempts.get(index, 1):
                gone.append(index)
            elif pieces and len(payload + data) > ROOM_BYTES:
                break
            else:
                data = data[:ROOM_BYTES]
                pieces.append(SegmentPiece(index, len(data), self.sizes[index]))
                payload += data
        return tuple(pieces), tuple(gone), payload

    def content(self, index: int) -> bytes:
        """The segment of a map, which is the same in each of its runs."""
        return bytes((index + at) % 251 for at in range(self.sizes[index]))

    def store(self, work: Work, brought: StoreSegments, how: str) -> None:
        """The disk takes what has come, unless the attempt has not begun."""
        assert isinstance(work.token, StoreToken)
        error: Exception | None = None
        if how == "fails":
            error = NotFound("not running")
        elif xxh3_64_intdigest(brought.payload) != brought.check:
            error = RunCorrupt("damaged")
        else:
            self.put(brought)
        self.take(*self.fetcher.stored(work.token, error, self.now_ns))

    def put(self, brought: StoreSegments) -> None:
        """Each piece goes behind what there is of its segment, which is not whole yet."""
        offset, at = brought.offset, 0
        for run, piece in zip(brought.runs, brought.pieces, strict=True):
            assert run.index == piece.map
            assert piece.map not in self.whole
            before = self.stored.get(piece.map, b"")[:offset]
            assert len(before) == offset
            self.stored[piece.map] = before + brought.payload[at : at + piece.piece_bytes]
            at += piece.piece_bytes
            if len(self.stored[piece.map]) == piece.size_bytes:
                self.whole.add(piece.map)
            offset = 0


HAPPENINGS = (
    "is done",
    "is done, and again",
    "is lost",
    "is damaged",
    "fails",
    "a run is lost",
    "time passes",
)
STORY = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 120)), max_size=120)
SIZES = st.lists(st.sampled_from((0, 1, 2, 3, 8, 9, 16, 30)), min_size=1, max_size=40)


@settings(deadline=None, max_examples=200)
@given(SIZES, STORY)
def test_each_segment_is_stored_once_and_whole(
    sizes: list[int], story: list[tuple[str, int]]
) -> None:
    world = World(sizes)
    world.wait(0)
    for what, which in story:
        world.happen(what, which)
    world.calm_down()
    assert world.whole == set(range(len(sizes)))
    assert world.stored == {index: world.content(index) for index in range(len(sizes))}

"""Frames between worker and task: any fragmentation, limits, strangers' bytes."""

from __future__ import annotations

import os
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.errors import ProtocolError
from mapreduce.worker.channel import (
    HEAD_MAX_BYTES,
    PAYLOAD_MAX_BYTES,
    Channel,
    ChannelClosed,
    FrameReader,
    RawFrame,
    TakingChannel,
    encode_frame,
)
from mapreduce.worker.task_messages import (
    Data,
    Done,
    Failed,
    FromTask,
    OpenInput,
    Progress,
    ReadInput,
    ToTask,
    WriteOutput,
)
from tests.worker.map_inputs import open_descriptors

SIZES = struct.Struct(">II")
Pair = tuple[socket.socket, socket.socket]


def encoded(message: object, payload: bytes = b"") -> bytes:
    return b"".join(encode_frame(message, payload))


def read_in_pieces(data: bytes, cuts: list[int]) -> list[RawFrame]:
    """Feed ``data`` to a reader, never more at a time than the next of ``cuts``."""
    reader, frames, at, turn = FrameReader(), [], 0, 0
    while at < len(data):
        space = reader.space()
        count = min(len(space), cuts[turn % len(cuts)], len(data) - at)
        space[:count] = data[at : at + count]
        at, turn = at + count, turn + 1
        frame = reader.received(count)
        if frame is not None:
            frames.append(frame)
    assert not reader.in_frame
    return frames


@given(
    st.lists(st.tuples(st.integers(0, 2**31), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(1, 50), min_size=1, max_size=20),
)
def test_frames_survive_any_fragmentation(
    messages: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(encoded(WriteOutput(handle), payload) for handle, payload in messages)
    frames = read_in_pieces(stream, cuts)
    decoder = msgspec.msgpack.Decoder(FromTask)
    got = [(decoder.decode(frame.head), bytes(frame.payload)) for frame in frames]
    assert got == [(WriteOutput(handle), payload) for handle, payload in messages]


def test_a_torn_frame_is_known_as_one() -> None:
    reader = FrameReader()
    assert not reader.in_frame
    reader.space()[:1] = b"\0"
    reader.received(1)
    assert reader.in_frame


@pytest.mark.parametrize(
    ("head_bytes", "payload_bytes"),
    [(0, 0), (HEAD_MAX_BYTES + 1, 0), (1, PAYLOAD_MAX_BYTES + 1), (2**32 - 1, 2**32 - 1)],
)
def test_sizes_over_the_limit_are_refused_before_room_is_made(
    head_bytes: int, payload_bytes: int
) -> None:
    reader = FrameReader()
    space = reader.space()
    space[:] = SIZES.pack(head_bytes, payload_bytes)
    with pytest.raises(ProtocolError, match="outside the limits"):
        reader.received(len(space))


def test_a_frame_over_the_limit_is_not_sent() -> None:
    with pytest.raises(ProtocolError, match="outside the limits"):
        encode_frame(Data(), bytes(PAYLOAD_MAX_BYTES + 1))


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_a_conversation_with_a_large_payload(pair: Pair) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    task: Channel[ToTask] = Channel(pair[1], ToTask)  # type: ignore[arg-type]
    payload = bytes(range(256)) * (PAYLOAD_MAX_BYTES // 256)

    def answer() -> None:
        assert worker.receive() == (ReadInput(3, 0), bytearray())
        worker.send(Data(), payload)

    thread = threading.Thread(target=answer)
    thread.start()
    task.send(ReadInput(3, 0))
    assert task.receive() == (Data(), payload)
    thread.join()


def test_the_end_of_a_conversation(pair: Pair) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    pair[1].sendall(encoded(Progress(1, 0.5, ""))[:-2])
    pair[1].close()
    with pytest.raises(ChannelClosed, match="in the middle of a message"):
        worker.receive()
    with pytest.raises(ChannelClosed):
        worker.send(Data(), bytes(PAYLOAD_MAX_BYTES))


def test_a_process_that_ended_with_words_unread(pair: Pair) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    worker.send(Data(), b"unread")
    pair[1].close()
    with pytest.raises(ChannelClosed, match="reset"):
        worker.receive()


def test_a_descriptor_comes_with_its_message(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    task: TakingChannel[ToTask] = TakingChannel(pair[1], ToTask)  # type: ignore[arg-type]
    worker.send(Data(), b"before")
    with path.open("rb") as file:
        worker.send(Done(), b"beside", file)
    worker.send(Data(), b"behind")
    assert task.receive() == (Data(), b"before")
    assert task.take_descriptor() is None
    assert task.receive() == (Done(), b"beside")
    descriptor = task.take_descriptor()
    assert descriptor is not None
    assert task.take_descriptor() is None
    assert os.pread(descriptor, 100, 0) == b"content"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    assert task.receive() == (Data(), b"behind")
    assert task.take_descriptor() is None


def test_descriptors_that_nobody_takes_are_closed(pair: Pair) -> None:
    before = open_descriptors()
    task: TakingChannel[ToTask] = TakingChannel(pair[1], ToTask)  # type: ignore[arg-type]
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    for _ in range(3):
        with Path("/dev/null").open("rb") as file:
            worker.send(Done(), b"", file)
        assert task.receive() == (Done(), b"")
    task.close()
    assert open_descriptors() == before - 1


def test_a_worker_takes_no_descriptors(pair: Pair) -> None:
    before = open_descriptors()
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    task: Channel[ToTask] = Channel(pair[1], ToTask)  # type: ignore[arg-type]
    with Path("/dev/null").open("rb") as file:
        task.send(ReadInput(1, 0), b"", file)
    assert worker.receive() == (ReadInput(1, 0), bytearray())
    assert open_descriptors() == before


def test_a_process_that_may_open_no_more_files_gets_the_message_alone(pair: Pair) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    task: TakingChannel[ToTask] = TakingChannel(pair[1], ToTask)  # type: ignore[arg-type]
    with Path("/dev/null").open("rb") as file:
        worker.send(Done(), b"beside", file)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        assert task.receive() == (Done(), b"beside")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert task.take_descriptor() is None


def test_hanging_up_wakes_who_waits(pair: Pair) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    ended: list[str] = []

    def wait() -> None:
        try:
            worker.receive()
        except ChannelClosed as error:
            ended.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    worker.hang_up()
    thread.join()
    assert ended == ["the connection was closed"]


@pytest.mark.parametrize(
    "head",
    [
        b"\xc1",
        b"not msgpack",
        msgspec.msgpack.encode([99, 1]),
        msgspec.msgpack.encode(Failed(1, "the wrong direction")),
        msgspec.msgpack.encode([21, "no number", "/path"]),
        b"\x91" * 5000,
    ],
)
def test_strange_messages_are_refused(pair: Pair, head: bytes) -> None:
    worker: Channel[FromTask] = Channel(pair[0], FromTask)  # type: ignore[arg-type]
    pair[1].sendall(SIZES.pack(len(head), 0) + head)
    with pytest.raises(ProtocolError, match="does not decode"):
        worker.receive()


def test_messages_of_another_kind_keep_their_fields() -> None:
    (frame,) = read_in_pieces(encoded(OpenInput(1, "/a/b")), [1])
    assert msgspec.msgpack.decode(bytes(frame.head), type=FromTask) == OpenInput(1, "/a/b")

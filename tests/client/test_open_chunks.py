"""Open chunk files for somebody else: which datanode gives them out, and what lies in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dfs.client.read_file import ReadFile
from dfs.disk import LocalFile
from dfs.errors import NotFound
from dfs.net.descriptors import DescriptorService
from tests.client.dumb_cluster import CLUSTER, DumbCluster, StoredFile
from tests.client.threaded import dumb_client

PARTS = [b"first" * 2000, b"second" * 2000, b"third" * 2000]
SIZE = sum(map(len, PARTS))


class Machine:
    """The machine of the client, with three datanodes and no descriptors to be had yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.client, transport = dumb_client()
        self.cluster: DumbCluster = transport.cluster
        self.stored: StoredFile = self.cluster.namenode.add_file("/a", PARTS)
        self.services: list[DescriptorService] = []
        for node in self.cluster.nodes.values():
            node.host, node.descriptors = "here", f"fd:{self.socket(node.name)}"

    def socket(self, name: str) -> Path:
        return self._folder / f"{name}.sock"

    def serve(self, name: str, *, holds: bool = True) -> None:
        """This datanode gives out what it holds; every file's content is its own name."""
        file = self._folder / name
        file.write_text(name)

        def opened(chunk: int, generation: int) -> LocalFile:
            if not holds or (chunk, generation) not in self.cluster.nodes[name].sealed:
                raise NotFound("it is not here")
            return LocalFile(os.open(file, os.O_RDONLY))

        self.services.append(DescriptorService(self.socket(name), opened))

    def open(self) -> ReadFile:
        return self.client.open_raw("/a")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    with made.client:
        yield made
    for service in made.services:
        service.close()


def given_by(file: ReadFile, offset: int) -> str | None:
    """The datanode that opened the chunk of a byte."""
    chunk = file.open_chunk(offset)
    if chunk is None:
        return None
    name = chunk.file.read_at(0, 100).decode()
    chunk.file.close()
    return name


def test_it_comes_with_what_the_namenode_knows(machine: Machine) -> None:
    machine.serve("datanode-1")
    with machine.open() as file:
        for offset in (0, len(PARTS[0]) - 1, len(PARTS[0]), SIZE - 1):
            chunk = file.open_chunk(offset)
            assert chunk is not None
            chunk.file.close()
            sealed = next(c for c in machine.stored.chunks if offset < c.start + c.length)
            numbers = (sealed.chunk, sealed.generation, sealed.length, sealed.digest)
            assert chunk.start == sealed.start
            assert chunk.facts == (CLUSTER, *numbers)


def test_one_that_has_none_is_passed_over(machine: Machine) -> None:
    machine.serve("datanode-1", holds=False)
    machine.serve("datanode-3")
    with machine.open() as file:
        assert given_by(file, 0) == "datanode-3"  # the second does not listen
        machine.serve("datanode-2")
        assert given_by(file, 0) == "datanode-3"  # nor is it asked again for this file
    with machine.open() as file:
        assert given_by(file, 0) == "datanode-2"


def test_without_any_there_is_none(machine: Machine) -> None:
    with machine.open() as file:
        assert given_by(file, 0) is None
        for node in machine.cluster.nodes.values():
            machine.serve(node.name)
            node.host = "elsewhere"
    with machine.open() as file:
        assert given_by(file, 0) is None
        assert file.read(5) == b"first"


def test_behind_the_end_and_in_small_files_there_is_no_chunk(machine: Machine) -> None:
    machine.serve("datanode-1")
    with machine.open() as file:
        assert file.open_chunk(SIZE) is None
    machine.client.write_bytes("/small", b"content")
    with machine.client.open_raw("/small") as file:
        assert file.open_chunk(0) is None

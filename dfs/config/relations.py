"""Values of ``cluster.toml`` that are fine alone and impossible together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from dfs.address import IPC, is_every, is_local, split_address
from dfs.config.kinds import WITHOUT_KEYS
from dfs.config.schema import Config
from dfs.quantities import format_time

HEARTBEATS_UNTIL_DEAD = 3
"""A node is not given up before it could have missed this many heartbeats."""

Path = tuple[str, str]
"""Section and key."""


def conflicts(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    """The keys that do not go together, and what is wrong, in words."""
    yield from _file_conflicts(config)
    yield from _time_conflicts(config)
    yield from _address_conflicts(config)


def _file_conflicts(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    files = config.files
    if files.min_durable is not None and files.min_durable > files.replication:
        yield (
            (("files", "min_durable"), ("files", "replication")),
            f"min_durable = {files.min_durable} can never be met with"
            f" replication = {files.replication}: lower the one or raise the other",
        )


def _time_conflicts(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    times = config.times
    rising = [
        ("heartbeat", times.heartbeat_ns),
        ("stale", times.stale_ns),
        ("dead", times.dead_ns),
    ]
    for (low, low_ns), (high, high_ns) in pairwise(rising):
        if low_ns >= high_ns:
            yield (
                (("times", high), ("times", low)),
                f"{high} = {format_time(high_ns)} must be longer than"
                f" {low} = {format_time(low_ns)}",
            )
    if times.dead_ns < times.heartbeat_ns * HEARTBEATS_UNTIL_DEAD:
        yield (
            (("times", "dead"), ("times", "heartbeat")),
            f"dead = {format_time(times.dead_ns)} must be at least {HEARTBEATS_UNTIL_DEAD}"
            f" heartbeats of {format_time(times.heartbeat_ns)}",
        )


def _address_conflicts(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    advertised = ("datanode", "advertise"), config.datanode.advertise
    for path, address in (*_bound(config), advertised):
        if config.security.mode == WITHOUT_KEYS and address and not is_local(address):
            yield (
                (path, ("security", "mode")),
                f"{'.'.join(path)} = {address!r} can be reached from other machines, which needs"
                " mode = 'curve': use that, or 127.0.0.1, [::1], localhost or ipc://PATH",
            )
    yield from _not_to_be_found(config)
    for (one, address), (other, same) in combinations(_bound(config), 2):
        chosen_by_system = not address.startswith(IPC) and split_address(address)[1] == 0
        if address == same and not chosen_by_system:
            yield (
                (other, one),
                f"{'.'.join(other)} and {'.'.join(one)} are both {address!r}: give each its own",
            )


def _not_to_be_found(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    datanode = config.datanode
    found_at = {
        ("namenode", "address"): config.namenode.address,
        ("datanode", "advertise"): datanode.advertise or datanode.listen,
        ("worker", "listen"): config.worker.listen,
    }
    for path, address in found_at.items():
        if is_every(address):
            yield (
                (path, (path[0], "listen")),
                f"{'.'.join(path)} = {address!r} is no place at which others find it: name an"
                " address of this machine",
            )


def _bound(config: Config) -> list[tuple[Path, str]]:
    return [
        (("namenode", "address"), config.namenode.address),
        (("datanode", "listen"), config.datanode.listen),
        (("worker", "listen"), config.worker.listen),
    ]

"""Questions to the master, which answers at the namenode's address."""

from __future__ import annotations

from typing import TypeVar

from dfs.client.client import Client
from dfs.errors import NotSupported, ProtocolError
from dfs.wire.codec import Message

M = TypeVar("M", bound=Message)


def ask(fs: Client, question: Message, answer: type[M]) -> M:
    """The answer of the master; raises DfsError, and ProtocolError for one of another kind."""
    try:
        found = fs.run(fs.namenode.ask(question))
    except NotSupported as error:
        raise NotSupported(
            "this cluster stores files only: install 'minidfs[mapreduce]' where its namenode runs,"
            " then 'minidfs down' and 'minidfs up'"
        ) from error
    if not isinstance(found, answer):
        raise ProtocolError(f"{type(question).__name__} was answered by {type(found).__name__}")
    return found

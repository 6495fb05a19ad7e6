"""Messages that every link has: the handshake, the plain answers, errors, status."""

from __future__ import annotations

from dfs.errors import DfsError, from_wire
from dfs.wire.codec import Message, message


@message(1)
class Hello(Message, frozen=True):
    """First word on each connection: who I am and what I speak.

    Sent by: whoever connects. Answered by: Welcome, Failed (Refused). Harmless when repeated.
    ``cluster`` is empty only from a tool that does not know its cluster yet.
    ``name`` is the node id of a datanode or worker, the user's name of a client.
    """

    cluster: str
    role: str
    name: str
    protocol_min: int
    protocol_max: int
    build: str


@message(2)
class Welcome(Message, frozen=True):
    """The connection is accepted, and this is who answers.

    Sent by: whoever was connected to. ``protocol`` is the version both sides use from now on.
    """

    cluster: str
    role: str
    name: str
    protocol: int
    build: str


@message(3)
class HelloFirst(Message, frozen=True):
    """I do not know this connection (I restarted, or forgot it): say Hello, then ask again.

    Sent by: whoever was connected to, in answer to anything but Hello.
    """


@message(4)
class Failed(Message, frozen=True):
    """An error of ``dfs.errors`` by its number. Sent by: anyone, as the answer to a request."""

    number: int
    text: str
    path: str = ""

    @classmethod
    def of(cls, error: DfsError) -> Failed:
        """The message that carries ``error``."""
        return cls(error.number, error.message, error.path)

    def error(self) -> DfsError:
        """The error that this message carries."""
        return from_wire(self.number, self.text, self.path)


@message(5)
class Ok(Message, frozen=True):
    """Done; there is nothing more to say. Sent by: anyone, as the answer to a request.

    ``durable`` is the number of copies of what was done, 0 where that makes no sense.
    """

    durable: int = 0


@message(6)
class Ping(Message, frozen=True):
    """Are you there? Sent by: anyone. Answered by: Ok. Also keeps an idle connection known."""

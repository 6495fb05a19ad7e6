"""Talking to the namenode: every request has a deadline, and restarts are waited out.

A request is repeated, with growing pauses, until it is answered or its time is over.

* *Questions* may be repeated freely.
* *Changes* run in a session, which is opened when the first one is made. Each gets a
  sequence number once and is repeated unchanged, so that the namenode applies it at most
  once and gives every repetition the first answer. ``ack_below`` tells it which answers
  nobody will ask for again.
* A change whose tries were all answered has a known outcome. When a try was left without
  an answer and time or session is over, the outcome is unknown and the caller is told so.

Before anything was ever heard from the namenode, patience is short: two seconds, then one
line that says how to start it. A namenode may be there and have to wait with its answer for another
machine that keeps its log. It tells its status nevertheless, so that is asked for in between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from dfs.client.effects import (
    Answer,
    Ask,
    CurrentTime,
    EndStream,
    LinkDown,
    NoAnswer,
    Operation,
    Sleep,
    Stream,
    Tell,
)
from dfs.client.session import Session
from dfs.errors import (
    DeadlineExceeded,
    DfsError,
    LeaseLost,
    OutcomeUnknown,
    Retry,
    SessionExpired,
    Unavailable,
)
from dfs.events import NAMENODE
from dfs.limits import (
    CLOSE_WAIT_NS,
    FIRST_CONTACT_NS,
    REQUEST_DEADLINE_NS,
    REQUEST_TRY_NS,
    RETRY_PAUSE_MAX_NS,
    RETRY_PAUSE_NS,
    SECOND_NS,
    SESSION_LOOK_NS,
    WAIT_NOTICE_NS,
)
from dfs.security.keys import without_key
from dfs.wire.codec import Message
from dfs.wire.namespace import (
    Change,
    CloseSession,
    GetStatus,
    OpenSession,
    RenewLease,
    SessionOpened,
)

UNSENT = (0, 0, 0)
"""Session, sequence and ack_below of a change that was not given to ``change`` yet."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a client knows of its cluster. ``host`` names the machine it runs on."""

    cluster: str
    endpoints: tuple[str, ...]
    host: str = ""
    timeout_ns: int = REQUEST_DEADLINE_NS


@dataclass(slots=True)
class _Patience:
    """The time that one request has, over all its tries."""

    start_ns: int
    deadline_ns: int
    pause_ns: int = RETRY_PAUSE_NS
    unanswered: bool = False

    def next_pause_ns(self) -> int:
        pause_ns = self.pause_ns
        self.pause_ns = min(2 * pause_ns, RETRY_PAUSE_MAX_NS)
        return pause_ns


class Namenode:
    """The namenode as the operations of one client see it.

    ``on_wait`` is called with one line when a request has waited for three seconds, once
    per outage.
    """

    def __init__(
        self, settings: ClientSettings, on_wait: Callable[[str], None] | None = None
    ) -> None:
        self.settings = settings
        self.on_wait = on_wait
        self._session: Session | None = None
        self._contacted = False
        self._noticed = False

    @property
    def address(self) -> str:
        """Where it is looked for, as people write it."""
        endpoints = self.settings.endpoints
        named = next((e for e in endpoints if e.startswith("tcp://")), endpoints[0])
        return without_key(named).removeprefix("tcp://")

    def ask(self, question: Message) -> Operation[Message]:
        """The answer to a question."""
        return (yield from self.ask_for_bytes(question)).message

    def ask_for_bytes(self, question: Message) -> Operation[Answer]:
        """The answer to a question with the bytes that come with it."""
        patience = yield from self._patience(self.settings.timeout_ns)
        return (yield from self._repeat(question, patience))

    def change(self, change: Change, timeout_ns: int = 0) -> Operation[Message]:
        """Make a change, given with ``UNSENT`` in front; the answer once it is durable.

        ``timeout_ns`` 0 stands for the client's own.
        """
        patience = yield from self._patience(timeout_ns or self.settings.timeout_ns)
        while True:
            session = yield from self._enter_session(patience)
            sequence = session.begin()
            numbered = replace(
                change, session=session.number, sequence=sequence, ack_below=session.ack_below
            )
            patience.unanswered = False
            try:
                return (yield from self._repeat(numbered, patience)).message
            except SessionExpired:
                self._leave_session(session)
                if patience.unanswered:
                    raise self._unknown(change, "its session has ended") from None
            finally:
                session.end(sequence)

    def tell(self, message: Message) -> Operation[None]:
        """Say something without waiting for an answer."""
        stream = yield Stream(NAMENODE, self.settings.endpoints)
        yield Tell(stream, message)
        yield EndStream(stream)

    def keep_session(self) -> Operation[None]:
        """Renew the session and the leases in it for as long as this operation runs."""
        while True:
            session = self._session
            if session is None:
                yield Sleep(SESSION_LOOK_NS)
                continue
            renew_ns = session.lease_ns // 3
            renewal = RenewLease(session.number)
            try_ns = min(renew_ns, REQUEST_TRY_NS)
            try:
                yield Ask(NAMENODE, renewal, b"", self.settings.endpoints, try_ns)
            except SessionExpired:
                self._leave_session(session)
            except NoAnswer:  # a third of the lease may be over with that: at once again
                renew_ns = RETRY_PAUSE_NS
            except DfsError:  # it may be restarting: soon again, while the lease lasts
                renew_ns = min(renew_ns, RETRY_PAUSE_MAX_NS)
            yield Sleep(renew_ns)

    def check_lease(self, inode: int) -> Operation[None]:
        """Is the file being written still ours? Raises ``LeaseLost``."""
        session = self._session
        if session is None:
            raise LeaseLost("the session of its writer has ended")
        try:
            yield from self.ask(RenewLease(session.number, inode))
        except SessionExpired:
            self._leave_session(session)
            raise LeaseLost("the session of its writer has ended") from None

    def close_session(self) -> Operation[None]:
        """End the session; files left open are discarded. Silence is no error."""
        session = self._session
        if session is None:
            return
        self._leave_session(session)
        try:
            yield Ask(
                NAMENODE,
                CloseSession(session.number),
                b"",
                self.settings.endpoints,
                CLOSE_WAIT_NS,
            )
        except DfsError:
            return  # then it expires

    def notice(self, text: str) -> None:
        """Tell the user, once until the next answer, what is waited for."""
        if not self._noticed and self.on_wait is not None:
            self.on_wait(text)
        self._noticed = True

    def _patience(self, timeout_ns: int) -> Operation[_Patience]:
        now_ns: int = yield CurrentTime()
        return _Patience(now_ns, now_ns + timeout_ns)

    def _repeat(self, message: Message, patience: _Patience) -> Operation[Answer]:
        """The answer to a message, asked again until there is one or the time is over."""
        while True:
            try:
                answer: Answer = yield Ask(
                    NAMENODE,
                    message,
                    b"",
                    self.settings.endpoints,
                    (yield from self._try_ns(patience)),
                )
                self._contacted, self._noticed = True, False
                return answer
            except (LinkDown, NoAnswer) as failure:
                patience.unanswered = True
                error: DfsError = failure
                if isinstance(failure, NoAnswer) and not self._contacted:
                    yield from self._make_contact(patience)
            except DfsError as failure:
                self._contacted = True
                if failure.retry is not Retry.SAME_REQUEST:
                    self._noticed = False
                    raise
                error = failure  # "not yet": what is waited for goes on
            yield from self._pause(message, patience, error)

    def _make_contact(self, patience: _Patience) -> Operation[None]:
        """Is there a namenode that only has no answer yet?"""
        now_ns: int = yield CurrentTime()
        try_ns = max(1, self._limit_ns(patience) - now_ns)
        try:
            yield Ask(NAMENODE, GetStatus(), b"", self.settings.endpoints, try_ns)
        except (LinkDown, NoAnswer):
            return
        self._contacted = True

    def _try_ns(self, patience: _Patience) -> Operation[int]:
        """How long to wait for the next try's answer."""
        now_ns: int = yield CurrentTime()
        limit_ns = min(now_ns + REQUEST_TRY_NS, self._limit_ns(patience))
        if not self._contacted:
            limit_ns -= (limit_ns - now_ns) // 2  # the other half is for making contact
        notice_ns = patience.start_ns + WAIT_NOTICE_NS
        if not self._noticed and now_ns < notice_ns:
            limit_ns = min(limit_ns, notice_ns)
        return max(1, limit_ns - now_ns)

    def _limit_ns(self, patience: _Patience) -> int:
        """When a request is given up: soon while nothing was ever heard from the namenode."""
        if self._contacted:
            return patience.deadline_ns
        return min(patience.deadline_ns, patience.start_ns + FIRST_CONTACT_NS)

    def _pause(self, message: Message, patience: _Patience, error: DfsError) -> Operation[None]:
        """Wait before the next try; raises when there is no time for one, before or after."""
        now_ns: int = yield CurrentTime()
        limit_ns = self._limit_ns(patience)
        if now_ns < limit_ns:
            if now_ns - patience.start_ns >= WAIT_NOTICE_NS:
                seconds = (now_ns - patience.start_ns) // SECOND_NS
                self.notice(self._waiting(error, seconds))
            yield Sleep(min(patience.next_pause_ns(), limit_ns - now_ns))
            now_ns = yield CurrentTime()
        if now_ns >= limit_ns:
            raise self._out_of_time(message, patience, error) from None

    def _waiting(self, error: DfsError, seconds: int) -> str:
        """What is waited for: the namenode, or what it waits for itself."""
        if not isinstance(error, LinkDown | NoAnswer):
            return f"waiting since {seconds} s: {error.message}"
        reason = "" if isinstance(error, NoAnswer) else f" ({error.message})"
        return f"waiting for the namenode at {self.address} since {seconds} s{reason}"

    def _out_of_time(self, message: Message, patience: _Patience, error: DfsError) -> DfsError:
        silent = isinstance(error, NoAnswer)
        if not self._contacted:
            waited_ns = self._limit_ns(patience) - patience.start_ns
            reason = f"silent for {waited_ns / SECOND_NS:g} s" if silent else error.message
            return Unavailable(
                f"no namenode answers at {self.address} ({reason}): "
                "start the cluster with 'minidfs up', or the namenode with 'minidfs namenode'"
            )
        seconds = (patience.deadline_ns - patience.start_ns) / SECOND_NS
        if isinstance(message, Change) and patience.unanswered:
            return self._unknown(message, f"{seconds:g} s are over")
        if silent or isinstance(error, LinkDown):
            return DeadlineExceeded(
                f"the namenode at {self.address} did not answer within {seconds:g} s: "
                "see 'minidfs status'"
            )
        return error

    def _unknown(self, change: Change, reason: str) -> OutcomeUnknown:
        path = getattr(change, "path", "") or getattr(change, "source", "")
        what = f"{type(change).__name__.lower()} {path}".rstrip()
        return OutcomeUnknown(
            f"{what}: no answer from the namenode at {self.address}, {reason}; "
            "it may or may not have happened: look before repeating it",
            path,
        )

    def _enter_session(self, patience: _Patience) -> Operation[Session]:
        """The session for one more change, opened if there is none."""
        while True:
            session = self._session
            if session is not None and not session.full:
                return session
            now_ns: int = yield CurrentTime()
            if now_ns >= patience.deadline_ns:
                seconds = (now_ns - patience.start_ns) / SECOND_NS
                raise DeadlineExceeded(f"no session was to be had within {seconds:g} s: try again")
            if session is None:
                yield from self._open_session(patience)
            else:
                yield Sleep(RETRY_PAUSE_NS)

    def _open_session(self, patience: _Patience) -> Operation[None]:
        opened = (yield from self._repeat(OpenSession(), patience)).message
        assert isinstance(opened, SessionOpened), opened
        if self._session is None:
            self._session = Session(opened.session, opened.lease_ns)
        else:  # another operation was faster
            yield from self.tell(CloseSession(opened.session))

    def _leave_session(self, session: Session) -> None:
        if self._session is session:
            self._session = None

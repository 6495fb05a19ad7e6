"""The bundles in the cluster: those that a job names, and those that none does.

A bundle lives as long as the rows of a job that names it. It is looked for when a job is
submitted, in the decision that makes the row, so it cannot go before its job: a client that
reused one which was about to go is told ``NotFound``, and uploads it again.

A client that dies between the upload and the job leaves a bundle that no job names. So all are
looked through at the start of the master and once an hour, a page of a directory at a time; what
no job names goes when it is a day old.
"""

from __future__ import annotations

from collections import Counter

from dfs.events import Now
from dfs.namenode.module import Command, View
from dfs.wire.namespace import Entry
from mapreduce.limits import BUNDLE_KEEP_NS, BUNDLES_DROPPED_MAX, BUNDLES_LOOK_NS
from mapreduce.master.storage import Storage
from mapreduce.wire import BUNDLE_FOLDER, bundle_path


class Bundles:
    """See the module's text."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._named: Counter[str] = Counter()
        self._after = ""
        self._look_ns = 0

    def name(self, bundle: str) -> None:
        """One job more names this bundle."""
        self._named[bundle_path(bundle)] += 1

    def exists(self, view: View, bundle: str) -> bool:
        """Is it in the cluster? Raises BadArgument for what is no name of a bundle."""
        return self._storage.exists(view, bundle_path(bundle))

    def release(self, view: View, bundle: str, now: Now) -> list[Command]:
        """One job less names this bundle; without any it goes."""
        path = bundle_path(bundle)
        self._named[path] -= 1
        if self._named[path]:
            return []
        del self._named[path]
        return self._storage.discard(view, path, now)

    def tidy(self, view: View, now: Now) -> list[Command]:
        """If it is time, remove some that no job names."""
        if now.mono_ns < self._look_ns:
            return []
        found: list[Entry] = []
        more = False
        if self._storage.exists(view, BUNDLE_FOLDER):
            found, more = self._storage.list_page(view, BUNDLE_FOLDER, self._after)
        old = [
            entry.path
            for entry in found
            if entry.path not in self._named and now.wall_ns - entry.mtime_ns >= BUNDLE_KEEP_NS
        ]
        dropped = old[:BUNDLES_DROPPED_MAX]
        last = dropped[-1] if len(dropped) < len(old) else found[-1].path if more else ""
        self._after = last.rpartition("/")[2]
        if not last:
            self._look_ns = now.mono_ns + BUNDLES_LOOK_NS
        return [command for path in dropped for command in self._storage.discard(view, path, now)]

    def next_deadline(self) -> int:
        """When ``tidy`` has something to do (ns, monotonic)."""
        return self._look_ns

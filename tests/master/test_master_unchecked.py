"""While the metadata are checked there is no master: nothing is lost, and nobody is told a lie."""

from __future__ import annotations

import pytest

from dfs.errors import Unavailable
from dfs.events import Peer, Role
from dfs.wire.common import Failed
from mapreduce import wire as w
from tests.master.master_stage import ATTEMPTS, Stage


def test_jobs_wait_for_the_check_and_go_on_after_it() -> None:
    stage = Stage()
    stage.join("w1")
    stage.submit(maps=1)
    ((_, order),) = stage.take_orders(*ATTEMPTS)
    stage.restart(is_checked=False)
    recorded = len(stage.records)
    assert stage.ask(w.ListWorkers(), w.WorkerList).workers == ()
    for question in (w.ListJobs(), w.KillJob("@last")):
        with pytest.raises(Unavailable, match="checking the metadata after an unclean stop"):
            stage.ask(question, Failed)
    (turned_away,) = stage.handle(
        Peer(Role.WORKER, "w1"), w.RegisterWorker(("tcp://w1:1",), "h", "", 1, ())
    )
    assert isinstance(turned_away, Failed)
    stage.lose_link("w1", 1)
    stage.advance(3600)
    assert len(stage.records) == recorded
    assert stage.take_orders(*ATTEMPTS) == []
    stage.conclude()
    assert len(stage.ask(w.ListJobs(), w.JobList).jobs) == 1
    stage.join("w1")
    stage.advance(5, "w1")
    ((_, again),) = stage.take_orders(*ATTEMPTS)
    assert again != order
    stage.succeed("w1", again)
    stage.run_all()
    assert stage.report().state == "succeeded"

"""One sync or one commit of the namenode fails: it ends with one line and loses nothing.

The error is raised in the daemon where the kernel's would be, by a module that its Python imports
at the start; a full file system or a limit of the kernel would go on failing.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

import dfs
from dfs.limits import KIB
from tests.integration.cluster_here import ClusterHere, until
from tests.integration.test_storage_faults import content_of

pytestmark = pytest.mark.cluster

FAULTS = '''
"""Fails one sync of a file or one commit of LMDB, when there is a file that asks for it."""

import os
import sys
from contextlib import suppress

try:
    import handler_marks
    handler_marks.install()
except ImportError:
    pass

FLAG = os.environ["FAULT_FLAG"]

def is_due(kind):
    with suppress(OSError):
        os.unlink(f"{FLAG}-{kind}")
        return True
    return False

def sync(descriptor, sync=os.fdatasync):
    if is_due("sync"):
        raise OSError(5, "Input/output error")
    sync(descriptor)

if "namenode" in sys.orig_argv:
    import lmdb

    class Transaction:
        def __init__(self, transaction):
            self.transaction = transaction

        def __getattr__(self, name):
            return getattr(self.transaction, name)

        def __enter__(self):
            return self.transaction.__enter__()

        def __exit__(self, *error):
            return self.transaction.__exit__(*error)

        def commit(self):
            if is_due("commit"):
                self.transaction.abort()
                raise lmdb.Error("mdb_txn_commit: Input/output error")
            self.transaction.commit()

    class Environment:
        def __init__(self, *args, open=lmdb.Environment, **options):
            self.environment = open(*args, **options)

        def __getattr__(self, name):
            return getattr(self.environment, name)

        def begin(self, *args, write=False, **options):
            transaction = self.environment.begin(*args, write=write, **options)
            return Transaction(transaction) if write else transaction

    lmdb.Environment = Environment
    os.fdatasync = sync
'''


@pytest.mark.parametrize(
    ("kind", "named"), [("sync", "the log cannot be written: log/"), ("commit", "/namenode/view")]
)
def test_a_namenode_whose_disk_fails_once_ends_and_the_next_one_has_all(
    own_cluster: ClusterHere, tmp_path: Path, kind: str, named: str
) -> None:
    cluster, flag = own_cluster, tmp_path / f"fault-{kind}"
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(FAULTS)
    paths = (str(hooks), cluster.environment.get("PYTHONPATH", ""))
    cluster.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    cluster.environment["FAULT_FLAG"] = str(tmp_path / "fault")
    cluster.minidfs("up", "--nodes", "1")
    contents = {f"/f{number}": content_of(9 * KIB + number) for number in range(4)}
    with dfs.connect(cluster.home.config_file) as fs:
        for path, content in contents.items():
            fs.write_bytes(path, content)
        process = cluster.pids()["namenode"]
        flag.touch()
        fs.write_bytes("/late", b"waits for the next namenode")  # which its keeper starts
        contents["/late"] = b"waits for the next namenode"
        until(lambda: cluster.pids().get("namenode") not in (None, process))
        assert not flag.exists()
        assert {path: fs.read_bytes(path) for path in contents} == contents
        assert len(fs.list("/")) == len(contents)
    said = cluster.home.log_file("namenode").read_text(encoding="utf-8")
    (last_words,) = [line for line in said.splitlines() if "stopped: " in line]
    assert named in last_words
    assert os.strerror(errno.EIO) in last_words
    assert "Traceback" not in said
    kept = cluster.home.log_file("keeper").read_text(encoding="utf-8")
    assert "namenode has ended (exit code 1: stopped: " in kept
    assert "sound" in cluster.minidfs("admin", "fsck").stdout

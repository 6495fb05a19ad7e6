"""Orders and formats on a real cluster, and here over its files: the same bytes."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.integration.cluster_here import ClusterHere

pytestmark = pytest.mark.cluster

PLACE = "/orders"
FIELDS = b"".join(b"%d\t%d\n" % (n * 7919 % 499, n * 104_729 % 1_009) for n in range(6_000))
RECORDS = b"".join(b"%07d\n" % (n * 7919 % 10_007) for n in range(6_000))
JOBS = '''
import zipfile
import mapreduce as mr

class Groups(mr.Job):
    """Sorted groups in parts that are sorted as a whole."""

    partitions = 3
    partition = mr.TotalOrder()
    input_format = mr.KeyValue
    sort_values = True

    def mapper(self, key, value):
        yield (int(key) // 10, int(key)), int(value)

    def combiner_init(self):
        self.combined = 0

    def combiner(self, key, values):
        for value in values:
            self.combined += 1
            yield key, value

    def combiner_final(self):
        self.count("combined", self.combined)

    def group_key(self, key):
        return key[0]

    def reducer_init(self):
        self.groups = 0

    def reducer(self, key, values):
        self.groups += 1
        yield key[0], " ".join(map(str, values))

    def reducer_final(self):
        self.count("groups", self.groups)

class Fixed(mr.Job):
    """Records of eight bytes, sorted by all of them."""

    partition = mr.TotalOrder()
    input_format = output_format = mr.FixedLength(8)

    def mapper(self, key, record):
        yield record, None

    def reducer(self, record, nones):
        for _ in nones:
            yield None, record

class Members(mr.Job):
    """What lies in zip files."""

    def mapper_raw(self, path, file):
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                yield path.rpartition("/")[2], (name, archive.read(name).decode())
'''


def zipped(names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, name * 20_000)
    return data.getvalue()


@pytest.fixture(scope="module")
def place(cluster: ClusterHere, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("orders")
    contents = {"fields": FIELDS, "records": RECORDS, "a.zip": zipped("xy"), "b.zip": zipped("z")}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "jobs.py").write_text(JOBS, encoding="utf-8")
    files = [folder / name for name in contents]
    cluster.minidfs("put", "--chunk-size", "16K", *files, f"{PLACE}/")
    return str(folder / "jobs.py")


def parts(cluster: ClusterHere, jobs: str, name: str, inputs: str) -> list[bytes]:
    """The parts of a job, the same by all runners."""
    found = []
    source, here = f"{PLACE}/{inputs}", f"/orders-out/{name}"
    for runner, scheme in (("cluster", ""), ("local", "minidfs:"), ("inline", "minidfs:")):
        output = f"{here}-{runner}"
        cluster.minimr(
            "run", "-r", runner, f"{jobs}:{name}", scheme + source, "-o", scheme + output
        )
        found.append([cluster.cat(f"{output}/{part}") for part in sorted(cluster.names(output))])
    assert found[0] == found[1] == found[2]
    return found[0][1:]


def test_groups_in_a_total_order(cluster: ClusterHere, place: str) -> None:
    wanted: dict[int, list[int]] = {}
    for line in FIELDS.decode().splitlines():
        key, value = map(int, line.split("\t"))
        wanted.setdefault(key // 10, []).append(value)
    lines = [f"{key}\t{' '.join(map(str, sorted(wanted[key])))}\n" for key in sorted(wanted)]
    found = parts(cluster, place, "Groups", "fields")
    assert b"".join(found).decode() == "".join(lines)
    assert len(found) == 3
    assert all(found), "each partition has some groups"


def test_fixed_records_in_a_total_order(cluster: ClusterHere, place: str) -> None:
    records = [RECORDS[at : at + 8] for at in range(0, len(RECORDS), 8)]
    assert b"".join(parts(cluster, place, "Fixed", "records")) == b"".join(sorted(records))


def test_raw_files_are_read_whole(cluster: ClusterHere, place: str) -> None:
    found = parts(cluster, place, "Members", "*.zip")
    names = [line[:12] for part in found for line in part.splitlines()]
    assert names == [b"a.zip\t('x', ", b"a.zip\t('y', ", b"b.zip\t('z', "]

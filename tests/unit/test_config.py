"""``cluster.toml``: defaults, typed values, and refusals with file, line and remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfs.config import Config, Reserve, parse, render
from dfs.config.lines import line_numbers
from dfs.config.schema import SECTIONS, keys_of
from dfs.config.text import LINES_MAX
from dfs.config_file import FILE_MAX_BYTES, home_folder, load, locate, role_folder
from dfs.errors import ConfigError

ROOT = Path(__file__).parents[2]
SECOND_NS = 1_000_000_000
INTERFACE = {
    "cluster": "id",
    "namenode": "address key dir",
    "datanode": "listen advertise dirs reserve rack",
    "worker": "listen slots task_memory scratch",
    "files": "replication chunk_size min_durable trash_keep",
    "times": "heartbeat stale dead repair_after lease",
    "security": "mode data_security allow_root_tasks",
}


def refusal(text: str) -> str:
    """The message with which ``text`` is refused; it is always one line."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    assert caught.value.path == "cluster.toml"
    return message


def test_an_empty_text_is_the_defaults() -> None:
    config = parse("")
    assert config == Config()
    assert config.files.replication == 3
    assert config.files.chunk_bytes == 64 * 1024**2
    assert config.files.min_durable is None
    assert config.files.trash_keep_ns == 3 * 86_400 * SECOND_NS
    times = config.times
    assert (times.heartbeat_ns, times.stale_ns, times.dead_ns, times.lease_ns) == (
        1 * SECOND_NS,
        5 * SECOND_NS,
        20 * SECOND_NS,
        60 * SECOND_NS,
    )
    assert times.repair_after_ns == 120 * SECOND_NS
    assert config.namenode.address == "127.0.0.1:9860"
    assert config.datanode.listen == "127.0.0.1:9861"
    assert config.worker.listen == "127.0.0.1:9862"
    assert not config.security.allow_root_tasks


def test_the_sections_and_keys_are_the_documented_ones() -> None:
    found = {name: " ".join(keys_of(section)) for name, section in SECTIONS.items()}
    assert found == INTERFACE


def test_the_example_is_what_we_write_for_the_defaults() -> None:
    example = (ROOT / "cluster.example.toml").read_text(encoding="utf-8")
    assert example == render(Config())
    assert parse(example) == Config()
    lines = set(line_numbers(example))
    assert {(s, key) for s, keys in INTERFACE.items() for key in keys.split()} <= lines


def test_every_kind_of_value_is_read() -> None:
    config = parse(
        """
        [cluster]
        id = "c-2f9.b_1"
        [namenode]
        address = "ipc:///run/minidfs/namenode"
        dir = "/srv/übung"
        [datanode]
        advertise = "[::1]:7001"
        dirs = ["/disk1/{id}",
                "/disk2/{id}"]
        reserve = "7%"
        [worker]
        slots = 2
        task_memory = "256M"
        [files]
        replication = 2
        chunk_size = "4K"
        min_durable = 2
        [times]
        heartbeat = "100ms"
        [security]
        allow_root_tasks = true
        """
    )
    assert config.cluster.id == "c-2f9.b_1"
    assert config.namenode.address == "ipc:///run/minidfs/namenode"
    assert config.namenode.dir == "/srv/übung"
    assert config.datanode.advertise == "[::1]:7001"
    assert config.datanode.dirs == ("/disk1/{id}", "/disk2/{id}")
    assert config.datanode.reserve == Reserve(0, 7)
    assert (config.worker.slots, config.worker.task_memory_bytes) == (2, 256 * 1024**2)
    assert (config.files.chunk_bytes, config.files.min_durable) == (4096, 2)
    assert config.times.heartbeat_ns == 100_000_000
    assert config.security.allow_root_tasks
    assert parse(render(config)) == config


def test_the_larger_part_of_a_reserve_counts() -> None:
    reserve = parse("").datanode.reserve
    assert reserve.of(10 * 1024**3) == 1024**3
    assert reserve.of(1000 * 1024**3) == 50 * 1024**3
    assert parse('datanode.reserve = "2%, 5G"').datanode.reserve == Reserve(5 * 1024**3, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[files]\n\nreplicaton = 3",
            "cluster.toml:3: unknown key 'replicaton' in [files]: did you mean 'replication'?",
        ),
        ("[fils]", "cluster.toml:1: unknown section 'fils': did you mean 'files'?"),
        ("[xyz]\nq = 1", "cluster.toml:1: unknown section 'xyz': it knows cluster, namenode,"),
        ("[times]\nzzz = 1", "cluster.toml:2: unknown key 'zzz' in [times]: it knows heartbeat,"),
        ("[files]\nlease = '1m'", "cluster.toml:2: [files] has no key 'lease': it belongs to [t"),
        ("# one\nlease = '1m'", "cluster.toml:2: 'lease' stands outside of its section: write"),
        ("files = 3", "cluster.toml:1: files is a section: write [files]"),
        ("[[files]]\nreplication = 3", "cluster.toml:1: files is a section: write [files]"),
        ("[files]\nx.y = 3", "cluster.toml:2: unknown key 'x' in [files]"),
        ("[files.x]\ny = 3", "cluster.toml:1: unknown key 'x' in [files]"),
        ("[files]\nreplication = 3\nreplication = 3", "cluster.toml:3: this is not TOML: "),
        ("[files]\nreplication = ", "cluster.toml:2: this is not TOML: "),
        ("[files]\nreplication = [3,\n\n", "cluster.toml:2: this is not TOML: "),
        (f"files.replication = {'9' * 5000}", "cluster.toml: this is not TOML: "),
        (f"x = {'[' * 5000}", "cluster.toml: brackets are nested too deeply"),
    ],
)
def test_what_has_no_place_is_refused_with_its_line(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("files.replication = true", "true is not a whole number"),
        ("files.replication = 3.0", "3.0 is not a whole number"),
        ('files.replication = "3"', "'3' is not a whole number"),
        ("files.replication = 0", "0 is not from 1 to 16"),
        ("files.replication = 17", "17 is not from 1 to 16"),
        ("files.chunk_size = 65536", '65536 is not a size in quotes, as "64M"'),
        ('files.chunk_size = "64MB"', "write 64M"),
        ('files.chunk_size = "1K"', "1K is not from 4K to 1G"),
        ("times.lease = 60", '60 is not a time in quotes, as "10s"'),
        ('times.lease = "60"', "has no unit"),
        ('times.lease = "10ms"', "10ms is not from 1s to 1d"),
        ("security.allow_root_tasks = 1", "1 is not true or false"),
        ('security.mode = "tls"', "'tls' is not known: the choice is curve, none"),
        ('worker.slots = "all"', "'all' is not a whole number"),
        ("worker.slots = false", "false is not a whole number"),
        ('cluster.id = "a b"', "'a b' is not a name of up to 64"),
        (f'cluster.id = "{"a" * 65}"', "is not a name of up to 64"),
        ('cluster.id = "ä"', "'ä' is not a name"),
        ('datanode.dirs = "data"', "'data' is not a list of folders"),
        ("datanode.dirs = []", "at least one folder"),
        ('datanode.dirs = ["a", "a"]', "none twice"),
        ("datanode.dirs = [1]", "1 is not text in quotes"),
        ('datanode.rack = " "', "is empty"),
        ('namenode.dir = "~/data"', "write the folder's full path"),
        ('namenode.dir = "a\\u0000b"', "cannot be printed"),
        ('datanode.reserve = "100%"', "'100%' is not a percentage"),
        ('datanode.reserve = "5 %"', "'5 %' is not a percentage"),
        ('datanode.reserve = "1GB, 5%"', "write 1G"),
        ('namenode.address = "127.0.0.1:0"', "needs a port from 1 to 65535"),
        ('namenode.address = "127.0.0.1"', "write HOST:PORT"),
        ('namenode.key = "secret"', "is not a key: a key has 43 characters"),
        ("namenode.key = 7", "7 is not a key in quotes"),
        ('datanode.listen = "*:9861"', "write HOST:PORT"),
        ('worker.listen = "127.0.0.1:65536"', "port above 65535"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_and_key(setting: str, problem: str) -> None:
    message = refusal(f"# first\n{setting}\n")
    assert message.startswith(f"cluster.toml:2: {setting.partition(' = ')[0]}: ")
    assert problem in message


@pytest.mark.parametrize(
    "setting",
    [
        'namenode.address = "10.0.0.1:9860"',
        'datanode.listen = "node-7.example:9861"',
        'datanode.advertise = "[2001:db8::1]:9861"',
        'worker.listen = "[2001:db8::1]:9862"',
    ],
)
def test_addresses_of_other_machines_need_keys(setting: str) -> None:
    message = refusal(f'security.mode = "none"\n{setting}\n')
    assert message.startswith(f"cluster.toml:2: {setting.partition(' = ')[0]}")
    assert "needs mode = 'curve'" in message
    parse(f"{setting}\n")


@pytest.mark.parametrize(
    "setting",
    [
        'namenode.address = "0.0.0.0:9860"',
        'datanode.listen = "0.0.0.0:9861"',
        'datanode.advertise = "[::]:9861"',
        'worker.listen = "[::]:9862"',
    ],
)
def test_every_address_of_a_machine_is_no_place_to_be_found(setting: str) -> None:
    assert "is no place at which others find it" in refusal(f"{setting}\n")


def test_a_datanode_may_listen_everywhere_if_it_says_where_it_is_found() -> None:
    text = 'datanode.listen = "0.0.0.0:9861"\ndatanode.advertise = "10.0.0.7:9861"\n'
    assert parse(text).datanode.advertise == "10.0.0.7:9861"


def test_a_text_of_very_many_lines_is_refused() -> None:
    assert parse("\n" * LINES_MAX) == Config()
    assert refusal("\n" * (LINES_MAX + 1)) == "cluster.toml: has more than 1000 lines"


def test_a_huge_wrong_value_is_not_repeated_whole() -> None:
    assert len(refusal(f"files.replication = '{'x' * 10_000}'")) < 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[files]\nreplication = 2\nmin_durable = 3",
            "cluster.toml:3: min_durable = 3 can never be met with replication = 2",
        ),
        (
            "[files]\nmin_durable = 4",
            "cluster.toml:2: min_durable = 4 can never be met with replication = 3",
        ),
        (
            '[times]\nheartbeat = "6s"',
            "cluster.toml:2: stale = 5s must be longer than heartbeat = 6s",
        ),
        (
            '[times]\nstale = "9s"\ndead = "9s"',
            "cluster.toml:3: dead = 9s must be longer than stale = 9s",
        ),
        (
            '[times]\nheartbeat = "4s"\ndead = "11s"',
            "cluster.toml:3: dead = 11s must be at least 3 heartbeats of 4s",
        ),
        (
            '[worker]\nlisten = "127.0.0.1:9861"',
            "cluster.toml:2: worker.listen and datanode.listen are both '127.0.0.1:9861'",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


def test_several_processes_may_let_the_system_choose_their_ports() -> None:
    config = parse('datanode.listen = "127.0.0.1:0"\nworker.listen = "127.0.0.1:0"')
    assert config.datanode.listen == config.worker.listen


def test_what_looks_like_a_header_inside_a_value_is_none() -> None:
    text = (
        '\n[a]\nb = """\n[c]\nd = 1\n"""\nc = [\n  1, # [x]\n\n  2]\r\n"quoted key".e = { f = 1 }'
    )
    assert line_numbers(text) == {
        ("a",): 2,
        ("a", "b"): 3,
        ("a", "c"): 7,
        ("a", "quoted key"): 11,
        ("a", "quoted key", "e"): 11,
        ("a", "quoted key", "e", "f"): 11,
    }


def test_nested_headers_and_arrays_of_tables_have_lines() -> None:
    text = "[a.b]\nc = 1\n[[d]]\ne = 1\n[[d]]\ne = 2\nf = 3"
    assert line_numbers(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("a", "b", "c"): 2,
        ("d",): 3,
        ("d", "e"): 4,
        ("d", "f"): 7,
    }


printable = st.text(min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and text.strip() != "" and not text.startswith("~")
)


@given(rack=printable, folder=printable, replication=st.integers(1, 16))
def test_what_is_written_is_read_back(rack: str, folder: str, replication: int) -> None:
    config = Config()
    config = replace(
        config,
        datanode=replace(config.datanode, rack=rack, dirs=(folder, folder + "2")),
        files=replace(config.files, replication=replication),
    )
    assert parse(render(config)) == config


@given(st.text(alphabet='[]{}=".,\n #afiles1', max_size=60))
def test_any_text_is_a_configuration_or_a_config_error(text: str) -> None:
    try:
        parse(text)
    except ConfigError as error:
        message = str(error)
    else:
        message = "cluster.toml:"
    assert message.startswith("cluster.toml:")


def test_the_file_is_found_by_option_then_environment_then_home(tmp_path: Path) -> None:
    both = {"MINIDFS_CLUSTER": "/etc/one.toml", "MINIDFS_HOME": "/srv/home"}
    home_only = {"MINIDFS_HOME": "/srv/home", "MINIDFS_CLUSTER": ""}
    assert locate("/tmp/two.toml", both, tmp_path) == Path("/tmp/two.toml")
    assert locate(None, both, tmp_path) == Path("/etc/one.toml")
    assert locate(None, home_only, tmp_path) == Path("/srv/home/cluster.toml")
    assert locate(None, {}, tmp_path) == tmp_path / ".minidfs" / "cluster.toml"
    assert home_folder({"MINIDFS_HOME": "relative"}, tmp_path) == Path.cwd() / "relative"


def test_folders_are_relative_to_home_and_carry_the_role_id() -> None:
    home = Path("/srv/home")
    assert role_folder("{id}", "datanode-1", home) == Path("/srv/home/datanode-1")
    assert role_folder("/disk1/{id}/x", "worker-2", home) == Path("/disk1/worker-2/x")


def test_a_file_is_loaded_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text("[files]\nreplication = 1\n", encoding="utf-8")
    assert load(path).files.replication == 1
    path.write_text("[files]\nreplication = 0\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is not from 1 to 16") as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_files_that_cannot_be_used_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    with pytest.raises(ConfigError, match="no such file: start a cluster with 'minidfs up'"):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path)
    path.write_bytes(b"[files]\n# \xff\n")
    with pytest.raises(ConfigError, match=":2: this is not UTF-8"):
        load(path)
    path.write_bytes(b"#" * (FILE_MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=f"larger than {FILE_MAX_BYTES} bytes"):
        load(path)


def test_any_damaged_byte_is_an_error_with_its_line_or_another_valid_configuration(
    tmp_path: Path,
) -> None:
    good = render(parse('[cluster]\nid = "c-3f2a9c"\n')).encode()
    path = tmp_path / "cluster.toml"
    refused = 0
    for at in range(len(good)):
        before, here, behind = good[:at], good[at], good[at + 1 :]
        for other in (here ^ 1, here ^ 0x80, ord('"')):
            path.write_bytes(before + bytes([other]) + behind)
            try:
                assert isinstance(load(path), Config)
            except ConfigError as error:
                refused += 1
                assert re.match(rf"{re.escape(str(path))}:\d+: [^\n]+$", str(error))  # noqa: PT017
        path.write_bytes(before)
        try:
            load(path)
        except ConfigError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > len(good)

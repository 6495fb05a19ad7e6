"""Where the processes of a cluster listen and are looked for, and which machine this is.

Every process listens on a socket file, ``run/ID.sock`` in MINIDFS_HOME, and on its TCP
address. When that path is too long for a socket, the files lie in a short folder under
``/tmp`` whose name follows from the user and the home; a folder of that name that is
not ours alone is never used.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from dfs.address import IPC, IPC_PATH_MAX_BYTES, is_local, split_address
from dfs.address import endpoint as address_endpoint
from dfs.config import Config
from dfs.errors import BadArgument, ConfigError
from dfs.events import Role
from dfs.security.key_folder import namenode_key
from dfs.security.keys import with_key

NAMENODE_ID = "namenode"
_LONGEST_FILE = "/datanode-1234567890.fd.sock"
_LOOPBACK = ("tcp://127.0.0.1:", "tcp://[::1]:")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def host_id() -> str:
    """The running machine: its name and the id of this boot, where the system has one."""
    try:
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return f"{socket.gethostname()}:{boot}"


def socket_folder(home: Path) -> Path:
    """The folder of the socket files of a cluster; it need not exist."""
    usual = home.absolute() / "run"
    if len(os.fsencode(usual)) + len(_LONGEST_FILE) <= IPC_PATH_MAX_BYTES:
        return usual
    name = blake2b(os.fsencode(home.absolute()), digest_size=8).hexdigest()
    return Path(f"/tmp/minidfs-{os.geteuid()}-{name}")


def make_socket_folder(home: Path) -> Path:
    """The folder of the socket files, made with mode 0700.

    Raises ``ConfigError`` when something else has its name or others may enter it.
    """
    folder = socket_folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_private(folder):
        raise ConfigError(
            f"{folder} must be a folder of yours with mode 0700: remove it, or set MINIDFS_HOME "
            "to another folder",
            str(folder),
        )
    return folder


def remove_sockets(home: Path) -> None:
    """Remove the socket files of a cluster whose processes have ended."""
    folder = socket_folder(home)
    if not _is_private(folder):
        return
    for path in folder.glob("*.sock"):
        path.unlink(missing_ok=True)
    if folder.parent != home.absolute():
        with suppress(OSError):  # something of somebody else's lies in it
            folder.rmdir()


def socket_endpoint(home: Path, process_id: str) -> str:
    """The endpoint of a process's socket file."""
    return f"{IPC}{socket_folder(home)}/{process_id}.sock"


def descriptor_socket(home: Path, process_id: str) -> Path:
    """Where a datanode gives out open chunk files; ``remove_sockets`` removes it too."""
    return socket_folder(home) / f"{process_id}.fd.sock"


def bind_endpoints(config: Config, home: Path, role: Role, process_id: str) -> tuple[str, ...]:
    """Where a process listens; makes the folder of its socket file."""
    address = {
        Role.NAMENODE: config.namenode.address,
        Role.DATANODE: config.datanode.listen,
        Role.WORKER: config.worker.listen,
    }[role]
    make_socket_folder(home)
    ipc = socket_endpoint(home, process_id)
    return (ipc,) if address.startswith(IPC) else (ipc, _to_bind(address))


def client_endpoints(config: Config, home: Path) -> tuple[str, ...]:
    """Where to look for the namenode, the best one first; with the key that it has."""
    ipc = socket_endpoint(home, NAMENODE_ID)
    usual = namenode_endpoint(config, home)
    folder = socket_folder(home)
    if usual != ipc and _is_private(folder) and (folder / f"{NAMENODE_ID}.sock").is_socket():
        return (ipc, usual)
    return (usual,)


def namenode_endpoint(config: Config, home: Path) -> str:
    """The namenode's address, with the key that it has where keys are used.

    Raises ``ConfigError`` when that is on another machine and its key is not known.
    """
    key = namenode_key(config, home)
    address = config.namenode.address
    if key is None and not is_local(address):
        raise ConfigError(
            f"namenode.address = {address!r} is on another machine and namenode.key is empty:"
            " 'minidfs join LINE' writes both"
        )
    found = address_endpoint(address).replace("//localhost:", "//127.0.0.1:")
    return found if key is None else with_key(found, key)


def refuse_open(endpoint: str, *, has_keys: bool) -> None:
    """Raise ``BadArgument`` for an endpoint that strangers could use.

    Where everybody has to prove a key, other machines may reach it.
    """
    if endpoint.startswith(_LOOPBACK):
        return
    if not endpoint.startswith(IPC):
        if has_keys:
            return
        raise BadArgument(
            f"{endpoint} can be reached from other machines, and there are no keys here: make them"
            " with 'minidfs init' or 'minidfs join', or use 127.0.0.1, [::1] or ipc"
        )
    folder = Path(endpoint.removeprefix(IPC)).parent
    if not _is_private(folder):
        raise BadArgument(f"{endpoint}: {folder} must be a folder of yours with mode 0700")


def _to_bind(address: str) -> str:
    """ZeroMQ binds to numbers only. Raises ``ConfigError`` for a name that has none."""
    host, port = split_address(address)
    if host == "localhost":
        return f"tcp://127.0.0.1:{port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen at {address}: {host} does not resolve ({error}): use an address of this"
            " machine"
        ) from None
    number = found[0][4][0]
    return f"tcp://[{number}]:{port}" if ":" in str(number) else f"tcp://{number}:{port}"


def _is_private(folder: Path) -> bool:
    """Is this a real folder that belongs to us and that nobody else may enter?"""
    try:
        found = folder.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return ours and not stat.S_IMODE(found.st_mode) & 0o077

"""Where ``cluster.toml`` and the folders of a cluster lie, and reading the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dfs.config import Config, parse
from dfs.errors import ConfigError

FILE_NAME = "cluster.toml"
FILE_MAX_BYTES = 16 * 1024


def home_folder(environ: Mapping[str, str], user_home: Path) -> Path:
    """``MINIDFS_HOME``, or ``.minidfs`` in the user's home; empty counts as unset."""
    return Path(environ.get("MINIDFS_HOME") or user_home / ".minidfs").absolute()


def locate(option: str | None, environ: Mapping[str, str], user_home: Path) -> Path:
    """The configuration file: ``--cluster``, ``MINIDFS_CLUSTER``, or the one in the home folder.

    The file need not exist.
    """
    explicit = option or environ.get("MINIDFS_CLUSTER")
    path = Path(explicit) if explicit else home_folder(environ, user_home) / FILE_NAME
    return path.absolute()


def role_folder(setting: str, role_id: str, home: Path) -> Path:
    """The folder that a setting such as ``{id}`` or ``/data/1`` means for one process."""
    return home / setting.replace("{id}", role_id)


def load(path: Path) -> Config:
    """The configuration in ``path``; raises ConfigError, also when there is no such file."""
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            f"{name}: no such file: start a cluster with 'minidfs up', or name one with --cluster",
            name,
        ) from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}", name) from error
    if len(data) > FILE_MAX_BYTES:
        raise ConfigError(f"{name}: is larger than {FILE_MAX_BYTES} bytes", name)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: this is not UTF-8: save it as UTF-8", name) from None
    return parse(text, name)

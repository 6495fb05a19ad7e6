"""Between the text of ``cluster.toml`` and ``Config``.

A text is taken or refused as a whole: not TOML, an unknown section or key, a value of the
wrong type or out of range, or two values that do not go together. The error is one line that
names file, line and remedy. What a text leaves out has its default.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from dfs.config.lines import line_numbers
from dfs.config.relations import conflicts
from dfs.config.schema import SECTIONS, Config, keys_of
from dfs.errors import BadArgument, ConfigError

LINES_MAX = 1000
"""A longer text is no configuration; the bound keeps the search for an error's line short."""

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def parse(text: str, name: str = "cluster.toml") -> Config:
    """The configuration that ``text`` describes; ``name`` is the file's, for errors.

    Raises ConfigError.
    """
    if text.count("\n") > LINES_MAX:
        raise ConfigError(f"{name}: has more than {LINES_MAX} lines", name)
    try:
        tree = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise _syntax_error(text, name, str(error)) from None
    except RecursionError:
        raise ConfigError(f"{name}: brackets are nested too deeply", name) from None
    reader = _Reader(text, name)
    sections = {section: reader.section(section, values) for section, values in tree.items()}
    config = Config(**sections)
    for paths, problem in conflicts(config):
        raise reader.error(paths, problem)
    return config


def render(config: Config) -> str:
    """A commented ``cluster.toml`` that parses to ``config`` and names every key."""
    lines = [
        "# Configuration of a minidfs cluster; the same file serves all its machines.",
        "# Sizes are powers of 1024: 64K 16M 1G. Times: 100ms 10s 5m 2h 3d.",
    ]
    for section, section_type in SECTIONS.items():
        lines += ["", f"[{section}]"]
        values = getattr(config, section)
        for key in keys_of(section_type).values():
            lines.append(f"# {key.comment}")
            lines.append(f"{key.name} = {key.kind.write(getattr(values, key.field))}")
    return "\n".join(lines) + "\n"


class _Reader:
    """Turns sections of the parsed text into their classes and knows where each thing stands."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name

    def section(self, section: str, values: object) -> Any:
        """The typed section; raises ConfigError."""
        if section not in SECTIONS:
            raise self.error([(section,)], _unknown_section(section, values))
        if not isinstance(values, dict):
            raise self.error([(section,)], f"{section} is a section: write [{section}]")
        keys = keys_of(SECTIONS[section])
        typed: dict[str, object] = {}
        for key, value in values.items():
            if key not in keys:
                raise self.error([(section, key)], _unknown_key(section, key))
            try:
                typed[keys[key].field] = keys[key].kind.read(value)
            except BadArgument as error:
                raise self.error([(section, key)], f"{section}.{key}: {error}") from None
        return SECTIONS[section](**typed)

    def error(self, paths: Iterable[tuple[str, ...]], problem: str) -> ConfigError:
        """An error at the first of ``paths`` that stands in the text (others have defaults)."""
        lines = line_numbers(self._text)
        line = next(lines[path] for path in paths if path in lines)
        return ConfigError(f"{self._name}:{line}: {problem}", self._name)


def _syntax_error(text: str, name: str, message: str) -> ConfigError:
    place = _TOML_PLACE.search(message)
    problem = f"this is not TOML: {_TOML_PLACE.sub('', message)}"
    if place is None:
        return ConfigError(f"{name}: {problem}", name)
    line = place[1] or text.rstrip().count("\n") + 1
    return ConfigError(f"{name}:{line}: {problem}", name)


def _unknown_section(section: str, values: object) -> str:
    if not isinstance(values, dict):
        homes = _sections_with(section)
        if homes:
            return f"{section!r} stands outside of its section: write it under [{homes[0]}]"
    return f"unknown section {section!r}{_nearest(section, SECTIONS)}"


def _unknown_key(section: str, key: str) -> str:
    homes = _sections_with(key)
    if homes:
        return f"[{section}] has no key {key!r}: it belongs to [{homes[0]}]"
    return f"unknown key {key!r} in [{section}]{_nearest(key, keys_of(SECTIONS[section]))}"


def _sections_with(key: str) -> list[str]:
    return [name for name, section in SECTIONS.items() if key in keys_of(section)]


def _nearest(wrong: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1)
    return f": did you mean {near[0]!r}?" if near else f": it knows {', '.join(names)}"

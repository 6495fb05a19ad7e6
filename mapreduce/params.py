"""Parameters of a job: class attributes that become options of its command line.

    fold: bool = mr.param(True, help="fold case")

is read as `self.fold` in every task, set by `WordCount(fold=False)` in Python and by
`--no-fold` on the command line. The type is that of the default.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, TypeVar, cast

import msgspec

from dfs.errors import BadArgument
from mapreduce.job import ParamValue

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}

_Value = TypeVar("_Value", bool, int, float, str)


class Param(msgspec.Struct, frozen=True):
    """One parameter, described without regard to any command-line library."""

    name: str
    default: ParamValue
    help: str = ""

    @property
    def kind(self) -> type:
        """bool, int, float or str."""
        return type(self.default)

    @property
    def option(self) -> str:
        """The option's spelling: `--fold/--no-fold`, `--pause`."""
        dashed = self.name.replace("_", "-")
        return f"--{dashed}/--no-{dashed}" if self.kind is bool else f"--{dashed}"

    def convert(self, value: object) -> ParamValue:
        """`value`, or the value that the text means; raises BadArgument."""
        if type(value) is self.kind:
            return cast(ParamValue, value)
        if self.kind is float and type(value) is int:
            return float(value)
        if isinstance(value, str):
            return self._parse(value)
        raise BadArgument(
            f"parameter {self.name} is {value!r}: a value of type {self.kind.__name__} is needed"
        )

    def _parse(self, text: str) -> ParamValue:
        if self.kind is bool and text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        if self.kind in (int, float):
            try:
                return cast(ParamValue, self.kind(text))
            except ValueError:
                pass
        raise BadArgument(
            f"parameter {self.name} is {text!r}: a value of type {self.kind.__name__} is needed"
        )


class Declared:
    """What `param` leaves in a class body; read on an instance it gives the default."""

    def __init__(self, default: ParamValue, help_text: str) -> None:
        if type(default) not in (bool, int, float, str):
            raise BadArgument(
                f"the default of a parameter is {default!r}: it must be a bool, int, float or str"
            )
        self.param = Param("", default, help_text)

    def __set_name__(self, owner: type, name: str) -> None:
        self.param = Param(name, self.param.default, self.param.help)

    def __get__(self, instance: object, owner: type) -> Any:
        return self if instance is None else self.param.default


def param(default: _Value, help: str = "") -> _Value:
    """Declare a parameter in the body of a Job class."""
    return cast(_Value, Declared(default, help))


def params_of(job_class: type) -> tuple[Param, ...]:
    """The parameters of a class and of those it derives from, in the order of declaration."""
    found: dict[str, Param] = {}
    for base in reversed(job_class.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Declared):
                found[name] = value.param
            else:
                found.pop(name, None)
    return tuple(found.values())


def bind(job_class: type, given: dict[str, Any]) -> dict[str, ParamValue]:
    """The value of every parameter; raises BadArgument for an unknown one, naming the nearest."""
    known = {param.name: param for param in params_of(job_class)}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'none'}"
            raise BadArgument(f"{job_class.__name__} has no parameter {name!r}: {hint}")
    values = {name: param.default for name, param in known.items()}
    return values | {name: known[name].convert(value) for name, value in given.items()}

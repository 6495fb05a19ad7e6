"""Side outputs: what tasks write beside the job's records, below `OUTPUT/NAME/`.

A task writes at most one file of each side output, and only if it has a record for it. Within
`OUTPUT/errors/` these are `part-r-00003` of reduce 3 and `part-m-00017` of map 17, also where
maps leave their records to reducers; those of a step before the last are `step-1-part-m-00017`.
A task names its file `errors/part-r-00003`; worker and master check that.
"""

from __future__ import annotations

from collections.abc import Sequence

from dfs.errors import BadArgument
from mapreduce.limits import SIDE_OUTPUT_NAME_MAX_BYTES, SIDE_OUTPUTS_MAX

OUTPUTS = "outputs"
"""The group of counters that tells how many records each side output has."""


def name_flaw(name: object) -> str:
    """Why a side output cannot have this name; '' if it can."""
    if not isinstance(name, str):
        return f"{name!r} is no name: a str is needed"
    if not name or "/" in name or not name.isprintable():
        return f"{name!r} is no name of a directory"
    if name.startswith(("_", ".", "part-")):
        return f"{name!r} begins as files of ours do: a name must not begin with _, . or part-"
    if len(name.encode()) > SIDE_OUTPUT_NAME_MAX_BYTES:
        return f"{name[:20]!r}… is longer than {SIDE_OUTPUT_NAME_MAX_BYTES} bytes"
    return ""


def side_part(letter: str, step: int, index: int, is_last: bool) -> str:
    """What the task's file is called in each side output; `letter` is m or r."""
    part = f"part-{letter}-{index:05d}"
    return part if is_last else f"step-{step + 1}-{part}"


def check_file(name: str, part: str, side: str) -> None:
    """Raise BadArgument unless a task may write a file of this name: its `part` ('': it leaves
    none), or its `side` part ('': it may have none) in a side output."""
    output, slash, file = name.partition("/")
    if not slash:
        allowed = name == part and bool(part)
    else:
        allowed = file == side and bool(side) and not name_flaw(output)
    if not allowed:
        raise BadArgument(f"{name} is not a part of this task")


def check_files(names: Sequence[str], part: str, side: str) -> None:
    """Raise BadArgument unless these are the files that a task leaves; see `check_file`."""
    for name in names:
        check_file(name, part, side)
    if part and part not in names:
        raise BadArgument(f"the part {part} is missing in {list(names)}")
    if len(set(names)) != len(names) or len(names) > SIDE_OUTPUTS_MAX + 1:
        raise BadArgument(
            f"a task leaves each file once and at most {SIDE_OUTPUTS_MAX} of side outputs:"
            f" these are {len(names)} files"
        )

"""A command whose first operand is a job file, and whose options include the job's own.

``minimr run wordcount.py --pause 0.1 books`` : the job is loaded before the command line is
understood, because its parameters decide which options there are. So is its docstring, for
``minimr run wordcount.py --help``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dfs.errors import BadArgument

if TYPE_CHECKING:
    from mapreduce.job_class import Job
    from mapreduce.params import Param

JOB_CLASS = "minimr.job_class"
"""Where the loaded class is kept in the context."""
PY_FILES = "--py-files"
"""The option that names what the job file may import."""


class JobCommand(click.Command):
    """A command of which the first operand names a job."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Load the job that ``args`` name, then understand them all."""
        target = job_operand(args, self.params)
        if target is not None:
            from mapreduce.loader import load_job, make_importable

            make_importable(map(Path, option_values(args, PY_FILES)))
            ctx.meta[JOB_CLASS] = load_job(target)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own parameters, then those of the job."""
        own = super().get_params(ctx)
        job_class = ctx.meta.get(JOB_CLASS)
        return own if job_class is None else [*own, *job_options(job_class, own)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the job says of itself, if there is one, else what the command does."""
        job_class = ctx.meta.get(JOB_CLASS)
        if job_class is None or not job_class.__doc__:
            super().format_help_text(ctx, formatter)
            return
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(job_class.__doc__)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The job's options first, under a title of their own."""
        job_class = ctx.meta.get(JOB_CLASS)
        if job_class is not None:
            records = [option.get_help_record(ctx) for option in job_options(job_class, [])]
            if records:
                with formatter.section(f"Options of {job_class.__name__}"):
                    formatter.write_dl([record for record in records if record is not None])
        own = [
            parameter.get_help_record(ctx)
            for parameter in super().get_params(ctx)
            if isinstance(parameter, click.Option)
        ]
        with formatter.section("Options"):
            formatter.write_dl([record for record in own if record is not None])


def job_operand(arguments: Sequence[str], parameters: Sequence[click.Parameter]) -> str | None:
    """The first operand among ``arguments``; the values of known options are none."""
    with_value = {
        name
        for parameter in parameters
        if isinstance(parameter, click.Option) and not parameter.is_flag
        for name in parameter.opts
    }
    is_value = False
    for argument in arguments:
        if is_value:
            is_value = False
        elif argument.startswith("-"):
            is_value = argument in with_value
        else:
            return argument
    return None


def option_values(arguments: Sequence[str], name: str) -> list[str]:
    """The values of an option that may stand several times."""
    behind = [after for before, after in pairwise(arguments) if before == name]
    return behind + [a.removeprefix(f"{name}=") for a in arguments if a.startswith(f"{name}=")]


def job_options(job_class: type[Job], own: Sequence[click.Parameter]) -> list[click.Parameter]:
    """The job's parameters as options; raises BadArgument where one hides an option of ours."""
    from mapreduce.params import params_of

    taken = {name for parameter in own for name in (*parameter.opts, *parameter.secondary_opts)}
    options: list[click.Parameter] = []
    for param in params_of(job_class):
        option = click.Option(
            [param.option, option_key(param)],
            default=param.default,
            show_default=True,
            type=param.kind,
            help=param.help or "A parameter of the job.",
        )
        clash = taken.intersection((*option.opts, *option.secondary_opts))
        if clash:
            raise BadArgument(
                f"{job_class.__name__}: the parameter {param.name!r} would hide the option"
                f" {min(clash)}: give it another name"
            )
        options.append(option)
    return options


def option_key(param: Param) -> str:
    """The name under which click keeps the value; no option of ours has such a name."""
    return f"job_{param.name}"


def job_of(context: click.Context, values: dict[str, Any]) -> Job:
    """The job with the parameters that were given."""
    from mapreduce.params import params_of

    job_class: type[Job] = context.meta[JOB_CLASS]
    return job_class(**{param.name: values[option_key(param)] for param in params_of(job_class)})

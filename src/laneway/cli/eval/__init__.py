"""eval: what lanes answer to the policy's evaluation sets, and what that proves."""

from __future__ import annotations

import click

from laneway.cli.eval.add import add
from laneway.cli.eval.compare import compare
from laneway.cli.eval.init import init
from laneway.cli.eval.prefer import prefer
from laneway.cli.eval.report import report
from laneway.cli.eval.run import run
from laneway.cli.eval.trade import export, import_

__all__ = ["evals"]


@click.group(name="eval")
def evals() -> None:
    """Measure lanes on the policy's evaluation sets, and say what that proves."""


for _command in (add, init, run, report, compare, prefer, import_, export):
    evals.add_command(_command)

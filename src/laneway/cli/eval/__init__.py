"""eval: what lanes answer to the policy's evaluation sets, and what that proves."""

from __future__ import annotations

import click

from laneway.cli.eval.compare import compare
from laneway.cli.eval.report import report

__all__ = ["evals"]


@click.group(name="eval")
def evals() -> None:
    """Measure lanes on the policy's evaluation sets, and say what that proves."""


for _command in (report, compare):
    evals.add_command(_command)

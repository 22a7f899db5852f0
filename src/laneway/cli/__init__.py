"""The command line: one module a verb, one place where errors become exit codes.

Exit codes: 0 done (or route), 1 failed, 2 usage, 3 refuse, 4 hold, 5 invalid policy file,
6 a property violated or not proved.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from laneway import __version__
from laneway.cli.check import check, print_findings
from laneway.cli.demo import demo
from laneway.cli.diff import diff
from laneway.cli.eval import evals
from laneway.cli.explain import explain
from laneway.cli.init import init
from laneway.cli.lanes import lanes
from laneway.cli.log import log
from laneway.cli.output import err
from laneway.cli.policy import policy
from laneway.cli.reject import reject
from laneway.cli.review import review
from laneway.cli.serve import serve
from laneway.cli.test import test
from laneway.cli.why import why
from laneway.errors import LanewayError, PolicyError, UsageError
from laneway.server.activation import Refused

__all__ = ["main"]


class _Root(click.Group):
    """Maps Laneway's errors to exit codes, so that no command prints a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolicyError as error:
            for problem in error.problems:
                err.print(f"{problem}", style="red", soft_wrap=True)
            ctx.exit(5)
        except Refused as error:
            print_findings(error.policy, error.report.errors, err)
            err.print(f"laneway: {error}", style="red", soft_wrap=True)
            ctx.exit(6)
        except UsageError as error:
            err.print(f"laneway: {error}", style="red", soft_wrap=True)
            ctx.exit(2)
        except BrokenPipeError:
            ctx.exit(1)
        except (LanewayError, OSError) as error:
            err.print(f"laneway: {error}", style="red", soft_wrap=True)
            ctx.exit(1)

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which a newcomer needs them."""
        return list(self.commands)


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="laneway")
def main() -> None:
    """Laneway sends each request to the cheapest or safest lane that may and can answer it, and says why."""


for _command in (demo, init, serve, lanes, check, diff, test, policy, explain, why, reject, log, review, evals):
    main.add_command(_command)

if __name__ == "__main__":
    sys.exit(main())

"""The command line: one module a verb, one place where errors become exit codes.

Exit codes: 0 done (or route), 1 failed, 2 usage, 3 refuse, 4 hold, 5 invalid policy file,
6 a property violated or not proved.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from laneway import __version__
from laneway.cli.output import err
from laneway.errors import LanewayError, PolicyError, UsageError

__all__ = ["main"]

_VERBS = {name: name for name in (
    "demo", "init", "serve", "lanes", "lever", "check", "diff", "test", "policy", "explain", "why", "reject", "log",
    "review", "replay", "shadow", "reviews", "reviewers", "erase", "export", "incident",
)}  # fmt: skip
_VERBS["eval"] = "evals"
"""Every verb, in the order in which a newcomer needs them, and its name in the module that has it."""


class _Root(click.Group):
    """Maps Laneway's errors to exit codes, so that no command prints a traceback.

    A verb is imported once it is asked for: a server that starts again waits for none of the others.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PolicyError as error:
            for problem in error.problems:
                err.print(f"{problem}", style="red", soft_wrap=True)
            ctx.exit(5)
        except UsageError as error:
            err.print(f"laneway: {error}", style="red", soft_wrap=True)
            ctx.exit(2)
        except BrokenPipeError:
            ctx.exit(1)
        except (LanewayError, OSError) as error:
            err.print(f"laneway: {error}", style="red", soft_wrap=True)
            ctx.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's name for it
        """Every verb."""
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The verb of that name."""
        if cmd_name not in _VERBS:
            return None
        verb: click.Command = getattr(import_module(f"laneway.cli.{cmd_name}"), _VERBS[cmd_name])
        return verb


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="laneway")
def main() -> None:
    """Laneway sends each request to the cheapest or safest lane that may and can answer it, and says why."""


if __name__ == "__main__":
    sys.exit(main())

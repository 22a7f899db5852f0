"""reviewers: who may review held answers, or audit, and with which token."""

from __future__ import annotations

from pathlib import Path

import click

from laneway.cli.output import as_json, err, grid, json_option, out, policy_option, print_table
from laneway.clock import today
from laneway.review.people import FILE, ROLES, People, Role

__all__ = ["add", "list_", "remove", "reviewers"]


@click.group()
def reviewers() -> None:
    """Say who may review and audit: names, roles and tokens, in `laneway.reviewers.json` beside the policy."""


@reviewers.command()
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(ROLES), help="review: see and decide; audit: see the log.")
@click.option("--as", "callers", multiple=True, metavar="CALLER",
              help="What NAME is called as a caller, beside NAME; nobody reviews their own request.")  # fmt: skip
@policy_option
@json_option
def add(name: str, role: Role, callers: tuple[str, ...], policy_path: Path, json_: bool) -> None:
    """Add NAME, and print the token to sign in with, this once."""
    path = policy_path.parent / FILE
    token = People(path).add(name, role, callers, today())
    if json_:
        as_json({"name": name, "role": role, "token": token, "file": str(path)})
        return
    err.print(f"{name} may {role}, by {path}. This token is shown once and kept nowhere:", soft_wrap=True)
    out.print(token, soft_wrap=True)


@reviewers.command(name="list")
@policy_option
@json_option
def list_(policy_path: Path, json_: bool) -> None:
    """List who may review and audit."""
    people = People(policy_path.parent / FILE).all()
    if json_:
        as_json([person._asdict() for person in people])
    elif not people:
        err.print("nobody may review or audit; `laneway reviewers add NAME --role review` adds somebody")
    else:
        table = grid("name", "role", "as caller", "since")
        for person in people:
            table.add_row(person.name, person.role, ", ".join(person.callers), f"{person.since}")
        print_table(table)


@reviewers.command()
@click.argument("name")
@policy_option
def remove(name: str, policy_path: Path) -> None:
    """Remove NAME, who is signed out at once."""
    person = People(policy_path.parent / FILE).remove(name)
    out.print(f"{person.name} may not {person.role} any more", style="green", soft_wrap=True)

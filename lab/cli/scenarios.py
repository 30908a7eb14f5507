"""`xmpplab scenarios`: the scenarios that ship with the lab, each with its title."""

from __future__ import annotations

from lab.cli.options import FormatOption
from lab.cli.output import Format, print_rows


def scenarios(output: FormatOption = Format.TABLE) -> None:
    """List the scenarios of xmpplab, and what each shows."""
    from lab.runner.scenarios import list_scenarios, load

    found = [info for name in list_scenarios() for info in load(name)]
    print_rows(output, [{"scenario": info.name, "tests": info.spec or None, "shows": info.title} for info in found])

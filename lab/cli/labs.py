"""Which lab a verb means: the one that is named, or the only one that is up.

A lab that a run or a test holds is not meant while there is one that somebody started with `up`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab


async def the_lab(name: str | None) -> Lab:
    """The lab of that name, or the only one that is up. Raises UserError if that is not one lab."""
    from lab.lifecycle import up as labs

    return await labs.attach(name or await only_name())


async def only_name() -> str:
    """The name of the only lab there is, those that end with a process aside. Raises UserError if that is not one."""
    from lab.errors import UserError
    from lab.lifecycle import up as labs

    up = await labs.status()
    names = [one.name for one in up if not one.owned] or [one.name for one in up]
    if not names:
        raise UserError("no lab is up; start one with: xmpplab up TOPOLOGY")
    if len(names) > 1:
        raise UserError(f"several labs are up, name one of: {', '.join(names)}")
    return names[0]

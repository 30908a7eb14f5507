"""Which lab a verb means: the one that is named, or the only one that is up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.runtime.handle import Lab


async def the_lab(name: str | None) -> Lab:
    """The lab of that name, or the only one that is up. Raises UserError if that is not one lab."""
    from lab.runtime import lab as labs

    return await labs.attach(name or await only_name())


async def only_name() -> str:
    """The name of the only lab there is. Raises UserError if there is none, or more than one."""
    from lab.errors import UserError
    from lab.runtime import lab as labs

    names = [one.name for one in await labs.status()]
    if not names:
        raise UserError("no lab is up; start one with: xmpplab up TOPOLOGY")
    if len(names) > 1:
        raise UserError(f"several labs are up, name one of: {', '.join(names)}")
    return names[0]

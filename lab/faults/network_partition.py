"""`partition`: servers are cut from each other, by the relays of the links between them (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Iterable

from lab.declarations.faults.network_partition import DECLARATION
from lab.faults.fault import InjectedFault, ServerLike, of_groups


def partition(*groups: Iterable[ServerLike], how: str = "blackhole") -> InjectedFault:
    """Cut groups of servers from each other. Servers in no group are one more group.

    `how` says what connections between groups meet:

    blackhole   open ones stay, but no byte passes; new ones are not answered
    silent      open ones stay, but no byte passes; new ones are accepted
    reset       open ones are reset; new ones are accepted and reset
    refuse      open ones are reset; new ones are refused

    Bytes that waited travel on once it is healed. Raises UserError that names each field that is wrong.
    """
    return of_groups(DECLARATION, {"groups": groups, "how": how})

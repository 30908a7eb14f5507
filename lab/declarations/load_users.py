"""Names of the accounts that loads use on each server; lists of accounts have them before any load is asked for."""

from __future__ import annotations

#: Exchanges messages with its like on other servers, to see whether they are idle (lab.load.worker.probe).
PROBE_USER = "quiet"


def load_user_name(number: int) -> str:
    """The name of a load's user, the local part of the address; `number` is from 1 on, on each server."""
    return f"load{number}"


def load_user_names(count: int) -> list[str]:
    """Names of a load's users on one server: load1 .. loadN."""
    return [load_user_name(number) for number in range(1, count + 1)]

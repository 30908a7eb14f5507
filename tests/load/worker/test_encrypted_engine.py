"""What cannot be carried encrypted is refused before anybody logs in."""

from __future__ import annotations

import pytest

from lab.errors import UserError
from lab.load.model.spec import Endpoint, Load, Shard
from lab.load.worker.encrypted_engine import run
from lab.load.workload.encrypted import MAX_RATE

LOAD = {"endpoints": (Endpoint("a", "a.test", "127.0.0.1"),), "users": 4, "password": "", "authority": ""}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"traffic": "2*local+1*logins"}, "messages between two users only: .* has login"),
        ({"security": "direct"}, "support STARTTLS only"),
        ({"arrivals": f"{2 * MAX_RATE + 1}/s"}, f"use 3 workers on as many cores, or at most {2 * MAX_RATE}/s"),
    ],
)
async def test_what_cannot_be_is_refused(asked: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        await run(Load(**{**LOAD, **asked}, encryption="omemo"), Shard(0, 2), print)

"""An agent as a child process, which ends when this process ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from lab.runtime.protocol import Pipes
from lab.system.processes import die_with_parent

LONGEST_LINE = 16 << 20  # bytes: an archive of thousands of messages is one line
CLOSE_PATIENCE = 10.0  # seconds that an agent has to disconnect its devices


async def spawn_agent(argv: Sequence[str], environment: dict[str, str]) -> Pipes:
    """Start an agent; its standard error is ours."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
        limit=LONGEST_LINE,
        preexec_fn=die_with_parent(),
        start_new_session=True,  # Ctrl-C is for the script, which ends its agents in order
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def close() -> None:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), CLOSE_PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()

    return Pipes(process.stdout, process.stdin, lambda: asyncio.ensure_future(close()), process.pid)

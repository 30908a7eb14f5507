"""Brings a pair up and waits: `python -m tests.lifecycle.up_and_wait NAME owned|stays`. What the tests kill."""

from __future__ import annotations

import asyncio
import sys

from lab.lifecycle import up as labs
from tests.runtime.helpers import pair


async def main(name: str, how: str) -> None:
    await labs.up(pair(), runtime="processes", name=name, owned=how == "owned", progress=tell)
    tell("ready")
    await asyncio.sleep(120)


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

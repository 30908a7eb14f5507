"""The labs of one pytest session: one for each topology, brought up when first asked for, ended with the session."""

from __future__ import annotations

import sys

from lab.lifecycle.up import Lab, find, up
from lab.topology.files import load


class Labs:
    """Keeps a lab for each topology. Tests share it, with fresh people each."""

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._labs: dict[str, Lab] = {}

    async def get(self, source: str) -> Lab:
        """A lab for a topology (a name, a file or a shape): one that is up with an equal plan, else one of our own.

        Raises UserError, MissingError, NotReady.
        """
        if source not in self._labs:
            topology = load(source)
            found = await find(topology, self._runtime)
            self._labs[source] = found or await up(topology, runtime=self._runtime, owned=True, progress=_progress)
        return self._labs[source]

    async def close(self) -> None:
        """End the labs that are ours; the ones that were up before stay."""
        while self._labs:
            _, lab = self._labs.popitem()
            if lab.owned:
                await lab.down()


def _progress(text: str) -> None:
    print(f"xmpplab: {text}", file=sys.stderr)  # pytest shows it with a failure

"""A runtime whose servers have been tampered with before their start."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.protocol import AddressReservation, Progress, Runtime, Written

MODULE = Path(__file__).parent / "mod_sabotage.lua"


class Tampered:
    """Another runtime, but for what `tamper(layout, plan)` does to the written folder before anything starts."""

    def __init__(self, inner: Runtime, tamper: Callable[[Layout, Plan], None]) -> None:
        self._inner = inner
        self._tamper = tamper

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def start(
        self,
        layout: Layout,
        plan: Plan,
        reservation: AddressReservation,
        *,
        written: Written,
        owned: bool,
        progress: Progress,
    ) -> None:
        await written
        self._tamper(layout, plan)
        await self._inner.start(layout, plan, reservation, written=written, owned=owned, progress=progress)


def load_module(mode: str, *, server: str = "a") -> Callable[[Layout, Plan], None]:
    """Give a Prosody the sabotage module, in one of its modes."""

    def tamper(layout: Layout, plan: Plan) -> None:
        folder = layout.server(server)
        config = folder / "prosody.cfg.lua"
        text = config.read_text()
        changed = text.replace('modules_enabled = { "roster"', 'modules_enabled = { "sabotage"; "roster"', 1)
        changed = changed.replace("plugin_paths = { ", f'plugin_paths = {{ "{plan.server(server).folder}"; ', 1)
        assert changed.count("sabotage") == 1, "the configuration looks other than this sabotage expects"
        config.write_text(f'sabotage = "{mode}"\n{changed}')
        target = folder / MODULE.name
        target.write_text(MODULE.read_text())
        target.chmod(0o644)

    return tamper

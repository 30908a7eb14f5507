"""Ends labs by name, after a sweep: whatever state they are in."""

from __future__ import annotations

from lab.errors import UserError
from lab.lifecycle.cleanup import sweep
from lab.lifecycle.lab import take_down
from lab.lifecycle.runtimes import find_runtime
from lab.plan.layout import Layout
from lab.runtime.lab_record import LabRecord, list_layouts, select_record
from lab.runtime.protocol import Progress


async def down(name: str | None = None, *, progress: Progress = lambda text: None) -> str:
    """End the lab of that name, or the only one, and delete its folder; returns its name.

    Raises UserError if there is none; what interrupted work left of any lab is deleted in any case.
    """
    layout = Layout.of(select_record().name if name is None else name)
    existed = layout.root.is_dir()
    await sweep(progress, containers=False)
    if not layout.root.is_dir():
        return layout.name if existed else select_record(layout.name).name  # swept, or never there
    progress(f"ending {layout.name}")
    await take_down(layout, find_runtime(layout))
    return layout.name


async def down_all(*, progress: Progress = lambda text: None) -> list[str]:
    """End every lab that no living process owns; their names."""
    await sweep(progress, containers=False)
    ended = []
    for layout in list_layouts():
        record = LabRecord.read(layout)
        if record is not None and record.owned and record.owner.alive:
            continue
        progress(f"ending {layout.name}")
        try:
            await take_down(layout, find_runtime(layout))
        except UserError as error:  # the others end all the same
            progress(f"{layout.name} is not changed: {error}")
            continue
        ended.append(layout.name)
    return ended

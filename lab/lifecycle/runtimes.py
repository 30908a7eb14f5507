"""The runtimes by name. The one of containers is imported only where it is asked for: the import takes a second."""

from __future__ import annotations

from lab.errors import MissingError, UserError
from lab.plan.layout import Layout
from lab.runtime.lab_record import LabRecord
from lab.runtime.protocol import Runtime


def choose(name: str = "auto") -> Runtime:
    """The runtime of that name; `auto` takes containers where an engine answers, else processes.

    Raises UserError for another name, MissingError if containers are asked for and no engine answers.
    """
    if name == "processes":
        return get_runtime(name)
    if name not in ("auto", "containers"):
        raise UserError(f"there is no runtime {name!r}; choose one of auto, containers, processes")
    containers = get_runtime("containers")
    lacking = [one for one in containers.check_prerequisites() if not one.good]
    if not lacking:
        return containers
    if name == "auto":
        return get_runtime("processes")
    raise MissingError("\n".join(f"{one.what}: {one.found}. {one.remedy}".rstrip() for one in lacking))


def get_runtime(name: str) -> Runtime:
    """The runtime that a lab's record names; whether it can work here is not checked."""
    if name == "containers":
        from lab.runtime.containers.runtime import Containers

        return Containers()
    from lab.runtime.processes.runtime import Processes

    return Processes()


def find_runtime(layout: Layout, default: Runtime | None = None) -> Runtime:
    """The runtime that a lab's record names; `default`, or else processes, where there is no record."""
    record = LabRecord.read(layout)
    if record is not None:
        return get_runtime(record.runtime)
    return default or get_runtime("processes")

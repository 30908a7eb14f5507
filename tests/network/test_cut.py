"""A relay that is cut: what open and new connections meet, and what they meet when the cut ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path as Folder

import pytest

from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.network.control import Control
from lab.network.impairments import LinkImpairments
from lab.network.relay import Cut
from tests.network import labs
from tests.network.labs import on_uvloop
from tests.network.test_relay import Path, echo, path

NOTHING = 0.2  # seconds in which nothing may arrive
HANGS = 30.0  # seconds: what has not happened by then does not happen


async def new_connection(cut: Path, patience: float = HANGS) -> str:
    """What a caller meets that writes as soon as it is connected."""
    try:
        reader, writer = await asyncio.wait_for(cut.call(), patience)
    except TimeoutError:
        return "unanswered"
    except ConnectionRefusedError:
        return "refused"
    try:
        with suppress(RuntimeError):  # uvloop, of a connection that is reset already
            writer.write(b"x")
        return "open" if await asyncio.wait_for(reader.read(1), patience) else "closed"
    except TimeoutError:
        return "silent"
    except ConnectionResetError:
        return "reset"


def patience(how: Cut) -> float:
    """How long to wait for what a cut leaves without an answer."""
    return NOTHING if how.stops_bytes else HANGS


MEETS = {Cut.BLACKHOLE: "unanswered", Cut.SILENT: "silent", Cut.RESET: "reset", Cut.REFUSE: "refused"}


@pytest.mark.parametrize("how", Cut)
@on_uvloop
async def test_new_connections_meet_what_the_cut_says_and_work_again_after_it(how: Cut) -> None:
    async with path(echo) as cut:
        assert await new_connection(cut) == "open"
        await cut.relay.cut(how)
        assert await new_connection(cut, patience(how)) == MEETS[how]
        assert cut.relay.describe()["cut"] == how
        await cut.relay.cut(None)
        assert await new_connection(cut) == "open"


@pytest.mark.parametrize("how", [Cut.BLACKHOLE, Cut.SILENT])
@pytest.mark.parametrize("conditions", [Conditions(), Conditions(latency=0.01), Conditions(rate=10**7)])
@on_uvloop
async def test_bytes_of_open_connections_wait_for_the_end_of_the_cut(how: Cut, conditions: Conditions) -> None:
    data = bytes(range(256)) * 1000
    async with path(echo, there=conditions) as cut:
        reader, writer = await cut.call()
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), HANGS) == b"x"
        await cut.relay.cut(how)
        writer.write(data)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), NOTHING)
        await cut.relay.cut(None)
        assert await asyncio.wait_for(reader.readexactly(len(data)), HANGS) == data


@pytest.mark.parametrize("how", [Cut.RESET, Cut.REFUSE])
@on_uvloop
async def test_open_connections_are_reset(how: Cut) -> None:
    async with path(echo) as cut:
        reader, writer = await cut.call()
        writer.write(b"x")
        assert await asyncio.wait_for(reader.readexactly(1), HANGS) == b"x"
        await cut.relay.cut(how)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(1), HANGS)


@pytest.mark.parametrize("second", Cut)
@pytest.mark.parametrize("first", Cut)
@on_uvloop
async def test_one_cut_follows_another(first: Cut, second: Cut) -> None:
    async with path(echo) as cut:
        await cut.relay.cut(first)
        await cut.relay.cut(second)
        assert await new_connection(cut, patience(second)) == MEETS[second]
        await cut.relay.cut(None)
        assert await new_connection(cut) == "open"


@on_uvloop
async def test_impairments_end_in_any_order() -> None:
    async with path(echo, there=Conditions(latency=0.01)) as link:
        of = LinkImpairments(link.relay)
        assert await of.impair("one", {"latency": 0.2}, Cut.RESET) == Conditions(latency=0.2)
        assert await of.impair("two", {"rate": 5000}, Cut.SILENT) == Conditions(latency=0.2, rate=5000)
        assert link.relay.cut_by is Cut.SILENT
        assert of.set_base({"jitter": 0.001}) == Conditions(0.2, 0.001, 5000)
        assert await of.restore("one")
        assert link.out.conditions == Conditions(0.01, 0.001, 5000)
        assert link.relay.cut_by is Cut.SILENT
        assert await of.restore("two")
        assert link.out.conditions == Conditions(0.01, 0.001)
        assert link.relay.cut_by is None
        assert not await of.restore("two")


async def test_a_service_applies_faults_and_says_what_is_wrong_with_a_request(tmp_path: Folder) -> None:
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(tmp_path / "lab", plan)
    fault = {"name": "mine", "action": "partition", "groups": [["a"]], "how": "refuse"}
    with labs.service(layout):
        async with Control(layout.control) as control:
            await control.call("add_fault", fault=fault)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(plan.services, plan.relays[0].port)
            assert [relay["cut"] for relay in (await control.call("status"))["relays"]] == ["refuse", "refuse"]
            assert [one["name"] for one in (await control.call("list_faults"))["faults"]] == ["mine"]
            with pytest.raises(UserError, match="mine: acts already"):
                await control.call("add_fault", fault=fault)
            assert await control.call("heal_faults", name="mine") == {"healed": ["mine"]}
            with pytest.raises(UserError, match="no fault 'mine' is active"):
                await control.call("heal_faults", name="mine")
            _, writer = await asyncio.open_connection(plan.services, plan.relays[0].port)
            writer.close()
            with pytest.raises(UserError, match="how: 'bend' is none of blackhole, silent, reset, refuse"):
                await control.call("add_fault", fault={**fault, "how": "bend"})
            with pytest.raises(UserError, match="no server 'x' in this topology"):
                await control.call("add_fault", fault={**fault, "groups": [["x"]]})
            phases = [one["phase"] for one in (await control.call("fault_events"))["events"]]
            assert phases == ["apply", "heal"]


async def test_faults_end_with_the_connection_that_holds_them_unless_they_are_kept(tmp_path: Folder) -> None:
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(tmp_path / "lab", plan)
    with labs.service(layout):
        async with Control(layout.control) as watching:
            async with Control(layout.control) as holder:
                for name, keep in (("held", False), ("kept", True)):
                    fault = {"name": name, "action": "partition", "groups": [["a"]], "how": "silent"}
                    await holder.call("add_fault", fault=fault, keep=keep)
                later = [{"name": "later", "action": "partition", "groups": [["a"]], "at": "5min"}]
                await holder.call("start_faults", faults=later)
                names = [one["name"] for one in (await watching.call("list_faults"))["faults"]]
                assert names == ["held", "kept", "later"]
            async with asyncio.timeout(HANGS):
                healed = 0
                while healed < 1:  # "later" was never applied
                    events = (await watching.call("fault_events", since=2, wait=5))["events"]
                    healed = len([one for one in events if (one["phase"], one["name"]) == ("heal", "held")])
            assert [one["name"] for one in (await watching.call("list_faults"))["faults"] if one["acts"]] == ["kept"]
            await watching.call("heal_faults")
            assert [relay["cut"] for relay in (await watching.call("status"))["relays"]] == [None, None]


async def test_a_fault_that_flaps_cuts_and_heals_in_time(tmp_path: Folder) -> None:
    plan = labs.plan(command=labs.ECHOING)
    layout = labs.folder(tmp_path / "lab", plan)
    flap = {"name": "f", "action": "flap", "down": "100ms", "up": "100ms", "duration": "600ms"}
    with labs.service(layout):
        async with Control(layout.control) as control:
            await control.call("add_fault", fault=flap, keep=True)
            events: list[dict[str, object]] = []
            while len(events) < 6:
                since = int(events[-1]["number"]) if events else 0  # type: ignore[call-overload]
                events += (await control.call("fault_events", patience=HANGS, since=since, wait=5))["events"]
            assert [one["phase"] for one in events] == ["apply", "heal"] * 3
            assert [one["occurrence"] for one in events] == [1, 1, 2, 2, 3, 3]

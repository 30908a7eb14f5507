"""The parts of the container runtime that need no engine: addresses, frames, recipes, libraries, what is asked for."""

import asyncio
import gc
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests
from docker.api.client import APIClient
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import MissingError, UserError
from lab.plan.build import build
from lab.plan.layout import Layout
from lab.plan.model import RuntimeFacts
from lab.runtime.containers import container_specs as specs
from lab.runtime.containers import engine, image_specs, images, reaper, subnets
from lab.runtime.containers import preparation as provision
from lab.runtime.containers import python_libraries as wheels
from lab.runtime.containers.attached_streams import Frames
from lab.runtime.containers.runtime import Containers
from lab.topology.spec import Custom, Link, Server, Topology

PAIR = Topology(
    "pair",
    "",
    (Server("a", "a.test", "prosody", "13.0"), Server("b", "b.test", "ejabberd", "24.12")),
    (Link("a", "b"),),
)
FACTS = RuntimeFacts("containers", "198.18.16.0/20", "/lab")
ROUTES = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0
tun0 000012C6 00000000 0001 0 0 0 0000FEFF 0 0 0
"""


def test_the_first_free_subnet_overlaps_nothing():
    found = subnets.find_free(["198.18.0.0/20", "198.18.20.0/24", "10.0.0.0/8", "fd00::/64", ""])
    assert [str(one.network) for one in found[:2]] == ["198.18.32.0/20", "198.18.48.0/20"]
    assert len(found) == 30


def test_the_engine_gives_agents_the_last_quarter():
    subnet = subnets.find_free([])[1]
    assert (subnet.gateway, subnet.agents) == ("198.18.16.1", "198.18.28.0/22")


def test_a_network_that_the_host_routes_is_taken_and_the_default_route_is_not():
    assert subnets.parse_routes(ROUTES) == ["198.18.0.0/15"]
    assert subnets.find_free(subnets.parse_routes(ROUTES)) == []


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40))), st.integers(1, 17))
def test_frames_come_out_as_they_went_in_however_they_are_cut(parts, size):
    sent = b"".join(bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data for stream, data in parts)
    frames, got = Frames(), {1: b"", 2: b""}
    for start in range(0, len(sent), size):
        for stream, data in frames.feed(sent[start : start + size]):
            got[stream] += data
    assert got == {kind: b"".join(data for stream, data in parts if stream == kind) for kind in (1, 2)}


def test_a_stream_that_is_not_multiplexed_is_an_error():
    with pytest.raises(ValueError, match="multiplexed"):
        list(Frames().feed(b"plain text"))


def test_a_tag_changes_with_every_input():
    base = image_specs.find_server_image("prosody", "13.0")
    assert base.tag.startswith("xmpplab/prosody:13.0-")
    changed = [
        replace(base, suite="forky"),
        replace(base, packages=(*base.packages, "x")),
        replace(base, archive="file:/x"),
        replace(base, files=(("Dockerfile", b"FROM x"), *base.files[1:])),
        replace(base, files=(*base.files, ("modules/new.lua", b""))),
        replace(base, arguments=(("NOT_IN_IMAGE", "/etc/x"),)),
    ]
    assert len({base.tag, *(one.tag for one in changed)}) == len(changed) + 1
    assert base.tag == image_specs.find_server_image("prosody", "13.0").tag


def test_only_packages_decide_which_packages_are_fetched():
    base = image_specs.find_server_image("prosody", "13.0")
    assert replace(base, files=()).packages_digest == base.packages_digest
    assert replace(base, packages=("x",)).packages_digest != base.packages_digest


def test_a_recipe_has_the_modules_and_how_to_compile_them():
    prosody = dict(image_specs.find_server_image("prosody", "13.0").files)
    ejabberd = dict(image_specs.find_server_image("ejabberd", "24.12").files)
    assert any(path.endswith(".lua") for path in prosody)
    assert prosody["modules.sh"] == b"mkdir -p /lab-modules/prosody\ncp -R /modules/. /lab-modules/prosody\n"
    assert prosody["Dockerfile"] == ejabberd["Dockerfile"]
    assert b"/lab-modules/ejabberd" in ejabberd["modules.sh"]


def test_a_context_is_the_same_bytes_for_the_same_content(tmp_path):
    package = tmp_path / "a_1_all.deb"
    package.write_bytes(b"x")
    first = images.make_context(image_specs.find_python_image(), [package])
    time.sleep(0.01)
    package.write_bytes(b"x")
    assert images.make_context(image_specs.find_python_image(), [package]) == first


def test_libraries_are_those_installed_here_and_what_they_need():
    found = wheels.compute_closure(("slixmpp-omemo",))
    assert {"slixmpp", "omemo", "doubleratchet", "cryptography"} <= found.keys()
    assert "pytest" not in found


def test_hashes_come_from_the_lock_for_all_or_for_none():
    lock = "a-b==1.0 \\\n    --hash=sha256:11 \\\n    --hash=sha256:22\nc==2.0 \\\n    --hash=sha256:33\n"
    assert wheels.add_hashes({"a-b": "1.0"}, lock) == ["a-b==1.0 --hash=sha256:11 --hash=sha256:22"]
    assert wheels.add_hashes({"a-b": "1.0", "c": "2.1"}, lock) == ["a-b==1.0", "c==2.1"]


def test_every_container_is_closed_and_a_server_sees_its_own_folder_only(tmp_path):
    layout, plan = Layout(tmp_path / "labs" / "x"), build(PAIR, FACTS)
    made = [specs.build_server_spec(layout, plan, server, "image") for server in plan.servers]
    made.append(specs.build_services_spec(layout, plan, "image", tmp_path))
    made.append(specs.build_agent_spec(layout, ("true",), "image", tmp_path))
    for spec in made:
        host = spec.arguments(APIClient(version="1.41"), "net")["host_config"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["ReadonlyRootfs"] is True
        assert host["PidsLimit"] > 0
        assert "PortBindings" not in host
        assert spec.labels[engine.LAB] == str(layout.root)
        assert not spec.user.startswith("0:")
        assert layout.root not in [mount.source for mount in spec.mounts]
    writable = {mount.source for spec in made[:2] for mount in spec.mounts if mount.writable}
    assert writable == {layout.server("a"), layout.server("b")}


def test_an_agent_writes_in_the_folder_that_it_is_given_and_nowhere_else(tmp_path):
    layout = Layout(tmp_path / "labs" / "x")
    for folder in (layout.person("a", "alice"), None):
        spec = specs.build_agent_spec(layout, ("true",), "image", tmp_path, folder=folder)
        inside = [(one.source, one.target) for one in spec.mounts if one.writable or layout.root in one.source.parents]
        assert inside == ([(folder, str(folder))] if folder else [])


async def test_only_an_agent_that_has_everybodys_devices_has_everybodys_keys(tmp_path, monkeypatch):
    layout, plan, given = Layout(tmp_path / "labs" / "x"), build(PAIR, FACTS), []

    async def start(*_, place, folder):
        given.append(folder)

    monkeypatch.setattr("lab.runtime.containers.agents.start_in_container", start)
    containers, alice = Containers(), layout.person("a", "alice")
    await containers.start_agent(layout, plan)
    await containers.start_agent(layout, plan, server="b")
    await containers.start_agent(layout, plan, own_address=True)
    await containers.start_agent(layout, plan, own_address=True, folder=alice)
    assert given == [layout.root / "people", None, None, alice]


def test_an_agent_in_a_servers_place_has_its_address_and_reads_its_certificates_only(tmp_path):
    layout, plan = Layout(tmp_path / "labs" / "x"), build(PAIR, FACTS)
    spec = specs.build_agent_spec(layout, ("true",), "image", tmp_path, plan.server("b"))
    assert spec.address == plan.server("b").address
    assert spec.name == engine.build_name(layout, "b")
    certs = layout.server("b") / "certs"
    assert [(mount.target, mount.writable) for mount in spec.mounts if mount.source == certs] == [(str(certs), False)]
    assert layout.server("b") not in [mount.source for mount in spec.mounts]


def test_labs_of_the_same_name_in_two_homes_do_not_share_names():
    assert engine.build_name(Layout(Path("/a/labs/x")), "s") != engine.build_name(Layout(Path("/b/labs/x")), "s")


def test_a_server_described_without_an_image_cannot_be_a_container():
    server = Server("a", "a.test", "custom", "", custom=Custom("mine", command=("run",)))
    with pytest.raises(UserError, match=r"mine has no `image:`.*--runtime processes"):
        provision.find_image(server)


async def test_a_cancelled_call_that_has_begun_is_waited_for_and_one_that_has_not_is_dropped():
    runs = engine.DockerEngine(workers=1)
    begun, done, never = threading.Event(), threading.Event(), threading.Event()

    def slow():
        begun.set()
        time.sleep(0.2)
        done.set()

    first = asyncio.create_task(runs.call(slow))
    await asyncio.to_thread(begun.wait, 5)
    second = asyncio.create_task(runs.call(never.set))
    await asyncio.sleep(0)
    for task in (second, first):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert done.is_set()
    runs.close()
    assert not never.is_set()


async def test_after_the_first_error_nothing_more_is_begun():
    runs, seen = engine.DockerEngine(workers=1), []

    def one(number):
        seen.append(number)
        time.sleep(0.01)
        if number == 1:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await runs.each(one, range(50))
    runs.close()
    assert len(seen) < 50


def test_a_reaper_is_in_charge_of_the_lab_it_was_started_for_only(tmp_path):
    layout = Layout(tmp_path)
    assert not reaper.is_responsible(layout, "a")
    (tmp_path / "reaper").write_text("a")
    assert reaper.is_responsible(layout, "a")
    assert not reaper.is_responsible(layout, "b")


@pytest.mark.parametrize("there", [False, True], ids=["nothing", "nobody listens"])
def test_without_an_engine_it_is_said_plainly_and_nothing_stays_open(
    there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "docker.sock"
    if there:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    why = "Connection refused" if there else "No such file or directory"
    with pytest.raises(MissingError, match=rf"no container engine answers \({path}: {why}\): start one"):
        engine.connect()
    gc.collect()
    assert not [one for one in recwarn if issubclass(one.category, ResourceWarning)]


async def test_an_engine_that_goes_away_is_told_in_one_sentence():
    def call() -> None:
        raise requests.exceptions.ConnectionError("Connection aborted.")

    own = engine.DockerEngine()
    with pytest.raises(MissingError, match=r"does not answer any more \(Connection aborted.\): when it answers again"):
        await own.call(call)
    own.close()


async def test_a_question_does_not_wait_for_what_takes_long() -> None:
    own, done = engine.DockerEngine(workers=1), threading.Event()
    starting = asyncio.ensure_future(own.call(done.wait, 10))
    await asyncio.sleep(0)  # it has the only worker
    try:
        assert await own.ask(lambda: "answered") == "answered"
        assert not starting.done()
    finally:
        done.set()
        await starting
        own.close()

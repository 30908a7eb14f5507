"""Faults as values: how they are found, what they are in a history, what is said of a wrong one."""

from types import SimpleNamespace

import pytest

import lab.faults
from lab.declarations.faults import FAULTS
from lab.errors import NotApplicable, UserError
from lab.faults import (
    conditions,
    drop_stanzas,
    forge_carbon,
    partition,
    phantom_device,
    reorder,
    stale_prekey,
    swap_bundle,
    withhold_device_list,
)
from lab.faults.fault import InjectedFault
from lab.federation import Device, Person
from lab.topology.files import load


def federation(topology: str):
    plan = SimpleNamespace(topology=load(topology))
    servers = [SimpleNamespace(name=server.name) for server in plan.topology.servers]

    def server(name):
        if name not in [one.name for one in servers]:
            raise UserError(f"no server {name!r} in this topology")
        return SimpleNamespace(name=name)

    return SimpleNamespace(lab=SimpleNamespace(plan=plan), servers=servers, server=server)


def test_every_declared_fault_can_be_imported_by_its_name():
    for declared in FAULTS.values():
        assert callable(getattr(lab.faults, declared.name.replace("-", "_")))
    assert {"conditions", "partition"} <= set(dir(lab.faults))
    with pytest.raises(ImportError):
        from lab.faults import no_such_fault  # noqa: F401


def test_no_module_has_the_name_of_a_fault():
    """Else `from lab.faults import it` would be the module, once something has imported that."""
    assert not {declared.name for declared in FAULTS.values()} & {name.replace("-", "_") for name in FAULTS}


def test_a_partition_is_plain_data():
    fault = partition(["s1", SimpleNamespace(name="s2")], ["s3"], how="reset")
    assert (fault.name, fault.servers) == ("partition", ("s1", "s2", "s3"))
    assert fault.fields == {"groups": "s1 s2 | s3", "how": "reset"}
    assert fault == partition(["s1", "s2"], ["s3"], how="reset") != partition(["s1", "s2", "s3"])


def test_conditions_are_plain_data_in_their_units():
    fault = conditions(("s1", "s2"), latency="200ms", rate="8kbit/s")
    assert (fault.name, fault.servers) == ("conditions", ("s1", "s2"))
    assert fault.fields == {"links": "s1 s2 | s2 s1", "direction": "both", "latency": 0.2, "rate": 1000}
    assert conditions(("s1", "s2"), rate="unlimited").fields["rate"] is None


@pytest.mark.parametrize(("groups", "cut"), [
    ([["s1"]], {("s1", "s2"), ("s2", "s1"), ("s1", "s4"), ("s4", "s1")}),
    ([["s1"], ["s2"]], {
        ("s1", "s2"), ("s2", "s1"), ("s1", "s4"), ("s4", "s1"), ("s2", "s3"), ("s3", "s2"),
    }),
    ([["s1", "s2"]], {("s1", "s4"), ("s4", "s1"), ("s2", "s3"), ("s3", "s2")}),
])  # fmt: skip
def test_a_partition_cuts_the_links_between_groups(groups, cut):
    fault = partition(*groups)
    assert isinstance(fault, InjectedFault)
    assert set(fault.find_directions(federation("ring:4"))) == cut


def test_conditions_act_on_one_direction_or_both():
    wanted = {"both": [("s1", "s2"), ("s2", "s1")], "to": [("s1", "s2")], "from": [("s2", "s1")]}
    for direction, directions in wanted.items():
        fault = conditions(("s1", "s2"), latency="1s", direction=direction)
        assert isinstance(fault, InjectedFault)
        assert fault.find_directions(federation("ring:4")) == directions


@pytest.mark.parametrize(("make", "text"), [
    (lambda: partition(["a"], how="bend"), "partition: how: 'bend' is none of blackhole, silent, reset, refuse"),
    (lambda: partition(), "partition: groups: names no group"),
    (lambda: partition([]), "partition: groups: names no server"),
    (lambda: partition("ab"), "partition: groups: 'ab' are no servers: give a list"),
    (lambda: partition([3]), "partition: groups: 3 is no server"),
    (lambda: partition(["a"], ["a", "b"]), "partition: groups: a cannot be in two groups"),
    (lambda: conditions(("a", "b"), latency=5), "conditions: latency: 5 has no unit: write 5ms or 5s"),
    (lambda: conditions(("a", "b"), loss=0.05), "conditions: loss: 0.05 is no share: write it in per cent"),
    (lambda: conditions(("a", "b"), loss="0.01%"), "conditions: loss: '0.01%' is no share"),
    (lambda: conditions(("a", "b"), loss="100%"), "conditions: loss: '100%' is out of range: use 0.1% to 99%"),
    (lambda: conditions(("a", "b")), "conditions: says nothing of the link: give one of latency, jitter, rate, loss"),
    (lambda: conditions(("a", "a"), latency="1s"), "conditions: link: a has no link with itself"),
    (lambda: conditions("ab", latency="1s"), "conditions: link: 'ab' is no link: give federation.link"),
    (lambda: conditions(("a", "b"), latency="1s", direction="up"), "conditions: direction: 'up' is none of both"),
    (lambda: conditions(("a", "b"), latency="1s", jitter="2s"), "conditions: jitter: is larger than latency"),
])  # fmt: skip
def test_a_wrong_value_is_named_with_its_field(make, text):
    with pytest.raises(UserError) as caught:
        make()
    assert text in str(caught.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(UserError) as caught:
        conditions("ab", latency=5, direction="up")
    assert [line.split(":")[1].strip() for line in str(caught.value).splitlines()] == ["link", "direction", "latency"]


@pytest.mark.parametrize(("make", "topology", "error", "text"), [
    (lambda: partition(["x"]), "pair", UserError, "partition: no server 'x'"),
    (lambda: partition(["s1", "s2", "s3"]), "ring:3", NotApplicable, "no two servers of different groups are linked"),
    (lambda: partition(["s1"]), "ring:3,direct=true", UserError, "partition: s1 - s2, s1 - s3: noth"),
    (lambda: conditions(("s1", "s3"), latency="1s"), "ring:4", UserError, "conditions: link: s1 and s3 are not linked"),
    (lambda: conditions(("s1", "s2"), latency="1s"), "ring:3,direct=true", UserError, "conditions: s1 - s2: nothing"),
])  # fmt: skip
def test_what_a_topology_cannot_give_is_said(make, topology, error, text):
    with pytest.raises(error) as caught:
        make().find_directions(federation(topology))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        ("bob@b.test", "of: 'bob@b.test' is nobody with devices"),
        (SimpleNamespace(jid="bob@b.test", devices=[SimpleNamespace(omemo_device=None)]), "has a device without OMEMO"),
        (
            SimpleNamespace(jid="bob@b.test", devices=[SimpleNamespace(omemo_device=7)], encryption="omemo+omemo:2"),
            "uses .+ keys of one version",
        ),
    ],
)
def test_keys_are_swapped_of_a_person_with_omemo_only(of, says):
    with pytest.raises(UserError, match=says):
        swap_bundle(at="b", of=of)
    if getattr(of, "encryption", "") != "omemo+omemo:2":
        with pytest.raises(UserError, match=says):
            phantom_device(at="b", of=of)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: stale_prekey(at="b", of="bob"), "stale-prekey: of: 'bob' is nobody with devices"),
        (lambda: withhold_device_list(at="b", of=bob(7), device="tablet"), "device: 'tablet' is no device with OMEMO"),
        (lambda: withhold_device_list(at="", of=bob(7), device=bob(7).devices[0]), "at: '' is no server"),
        (lambda: forge_carbon(at="a", to="bob", claims="carol"), "to: 'bob' is nobody: .*\n.*claims: 'carol'"),
        (lambda: reorder(("a", "b"), stanza="letter"), "reorder: stanza: 'letter' is none of message"),
    ],
)
def test_what_is_wrong_with_an_attack_on_a_person_is_said(make, says):
    with pytest.raises(UserError, match=says):
        make()


def bob(*numbers: int) -> SimpleNamespace:
    devices = [SimpleNamespace(omemo_device=one, resource=str(one), jid=f"bob@b.test/{one}") for one in numbers]
    return SimpleNamespace(jid="bob@b.test", devices=devices, server=SimpleNamespace(name="b"))


async def test_attacks_that_make_no_sense_are_refused_before_anything_is_done():
    person, stranger = bob(7, 8), bob(9)
    servers = {"a": SimpleNamespace(name="a"), "b": person.server}
    federation = SimpleNamespace(server=servers.__getitem__)
    with pytest.raises(UserError, match="is none of "):
        await withhold_device_list(at="b", of=person, device=stranger.devices[0]).apply(federation)
    with pytest.raises(UserError, match="which need not forge a copy for that"):
        await forge_carbon(at="b", to=stranger, claims=person).apply(federation)
    with pytest.raises(UserError, match="only the own server hands out keys"):
        await stale_prekey(at="a", of=person).apply(federation)


def phone() -> Device:
    server = SimpleNamespace(name="a", domain="a.test", address="127.0.0.1", c2s_port=5222)
    person = SimpleNamespace(name="alice", jid="alice@a.test", encryption="plain", server=server)
    return Device(person, "phone")


def test_an_attack_on_a_device_is_plain_data_and_says_where_it_acts():
    fault = drop_stanzas(phone(), nth=2)
    assert (fault.name, fault.servers) == ("drop-stanzas", ("a",))
    assert fault.fields == {
        "client": "alice@a.test/phone", "direction": "both", "stanza": "message", "element": "body", "nth": 2,
    }  # fmt: skip


async def test_a_second_attack_on_a_device_is_refused():
    device = phone()
    device.relay = ("127.0.0.1", 1)
    with pytest.raises(UserError, match="is attacked already"):
        await drop_stanzas(device).apply(SimpleNamespace(lab=None))


def test_what_is_wrong_with_an_attack_on_a_device_is_said():
    with pytest.raises(UserError, match="drop-stanzas: nth: "):
        drop_stanzas(phone(), nth=0)
    person = object.__new__(Person)
    person.jid = "alice@a.test"
    with pytest.raises(UserError, match=r"alice@a.test is a person: give one of their devices"):
        drop_stanzas(person)

"""What a topology means once it is read: defaults, directions, softwares, names, one's own server."""

from pathlib import Path

import pytest

from lab import packaged
from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.plan import files
from lab.report.plan_table import EACH, build_placeholder_plan, render_plan
from lab.topology.files import list_names, load, load_custom, make_absolute
from lab.topology.spec import Authentication, Custom, Feed, Link, Placement, Server, Tls, Topology, Unlinked


def _load(tmp_path: Path, text: str) -> Topology:
    file = tmp_path / "mine_own.yaml"
    file.write_text(text)
    return load(file)


def test_the_hidden_island_means_what_it_says() -> None:
    forty = Conditions(latency=0.04)
    assert load("hidden_island") == Topology(
        name="hidden-island",
        teaches="Friends on a closed server; only their home server meets the public one.",
        servers=(
            Server("island", "island.test", "prosody", "13.0", users=3),
            Server("home", "home.test", "prosody", "13.0", users=3),
            Server("public", "public.test", "ejabberd", "24.12", users=20),
        ),
        links=(Link("island", "home"), Link("home", "public", forty, forty)),
        unlinked=Unlinked.NXDOMAIN,
    )


def test_found_from_any_folder_under_both_spellings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        load("hidden-island")
        == load("hidden_island")
        == load(str(packaged.find_folder("topologies") / "hidden_island.yaml"))
    )


def test_a_committed_name_goes_before_a_shape_and_a_size_makes_a_shape() -> None:
    assert load("ring").teaches
    assert load("ring:5").name == "ring-5" and not load("ring:5").teaches


def test_behind_a_name_values_hold_for_all_servers_and_links() -> None:
    pair = load("mixed-pair,users=6,latency=40ms,unlinked=refused,name=six")
    assert [(one.software, one.users) for one in pair.servers] == [("prosody", 6), ("ejabberd", 6)]
    assert pair.links[0].forward == pair.links[0].backward == Conditions(latency=0.04)
    assert (pair.name, pair.unlinked, pair.teaches) == ("six", Unlinked.REFUSED, load("mixed-pair").teaches)
    assert {one.users for one in load("hidden_island,users=1").servers} == {1}, "one of them has 20 in the file"
    assert {one.software for one in load("mixed-pair,software=prosody").servers} == {"prosody"}
    assert all(link.direct for link in load("slow-link,direct=true").links)
    assert len(load("ring,servers=3,users=4").servers) == 3


def test_a_server_that_is_a_script_stays_one() -> None:
    home, peer = load("scripted-peer,software=ejabberd,users=6").servers
    assert (home.software, home.users, peer.software, peer.users) == ("ejabberd", 6, "scripted", 0)


def test_behind_a_path_values_hold_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.yaml").write_text(
        "servers: {a: {users: 3}, b: {}}\n"
        "links: [{between: [a, b], forward: {latency: 9ms}, backward: {rate: 8kbit}}]\n"
    )
    (tmp_path / "own.yaml").write_text("name: own\ncommand: [./own]\n")
    monkeypatch.chdir(tmp_path)
    found = load("folder/mine.yaml,software=./own.yaml,latency=2ms")
    assert [one.custom and one.custom.name for one in found.servers] == ["own", "own"], "its path is from here"
    assert found.links[0].forward == Conditions(latency=0.002)
    assert (found.links[0].backward.latency, found.links[0].backward.rate) == (0.002, 1000)  # bytes per s
    Path("with,comma.yaml").write_text("servers: {a: {}}\n")
    assert load("with,comma.yaml").name == "with-comma"


def test_an_internationalized_domain_is_written_with_its_letters(tmp_path: Path) -> None:
    (server,) = _load(tmp_path, "servers: {a: {domain: b\u00fccher.\u4f8b\u3048.test}}\n").servers
    assert server.domain == "b\u00fccher.\u4f8b\u3048.test"


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("B\u00fccher.test", "write 'b\u00fccher.test'"),
        ("stra\u00dfe.test", "write 'strasse.test'"),
        ("bu\u0308cher.test", "write 'b\u00fccher.test'"),
        ("xn--bcher-kva.test", "write 'b\u00fccher.test'"),
        ("b\u00fccher..test", "no|is not a domain"),
        ("\u00fc" * 70 + ".test", "is not a domain"),
        ("\u202ea.test", "is not a domain"),
        ("b\u00fc cher.test", "is not a domain"),
    ],
)
def test_what_is_no_internationalized_domain(tmp_path: Path, domain: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        _load(tmp_path, f"servers: {{a: {{domain: {ascii(domain)!s}}}}}\n".replace("'", '"'))


def test_a_file_without_suffix_beside_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("village").write_text("servers: {a: {}}\n")
    assert load("village").name == "village"


def test_unsaid_is_secure_and_named_after_the_file(tmp_path: Path) -> None:
    topology = _load(tmp_path, "servers:\n  a:\n  b:\nlinks: [{between: [b, a]}]\n")
    assert topology.name == "mine-own" and topology.unlinked is Unlinked.NOT_ALLOWED
    assert topology.servers == (Server("a", "a.test", "prosody", "13.0"), Server("b", "b.test", "prosody", "13.0"))
    assert topology.servers[0].tls is Tls.REQUIRED and topology.servers[0].authentication is Authentication.EXTERNAL
    assert topology.links == (Link("b", "a"),)


@pytest.mark.parametrize(
    ("file", "name"), [("Two Labs.yaml", "two-labs"), ("try-2.yaml", "try-2"), ("2-ring.yaml", "ring")]
)
def test_a_file_gives_its_whole_name_as_far_as_a_label_can_have_it(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text("servers: {a: {}}\n")
    assert load(str(tmp_path / file)).name == name


def test_a_server_goes_before_the_defaults(tmp_path: Path) -> None:
    text = "defaults: {users: 3, feed: meta, tls: optional}\nservers: {a: {users: 0, feed: full, tls: required}, b: {}}"
    a, b = _load(tmp_path, text).servers
    assert (a.users, a.feed, a.tls) == (0, Feed.FULL, Tls.REQUIRED)
    assert (b.users, b.feed, b.tls) == (3, Feed.META, Tls.OPTIONAL)


def test_without_tls_only_dialback_is_left(tmp_path: Path) -> None:
    (server,) = _load(tmp_path, "servers: {a: {tls: off}}").servers
    assert server.authentication is Authentication.DIALBACK


def test_direction_goes_before_link_goes_before_defaults(tmp_path: Path) -> None:
    text = """
defaults: {latency: 10ms, rate: 1Mbit/s}
servers: {a: {}, b: {}, c: {}}
links:
  - {between: [a, b], jitter: 1ms, forward: {latency: 300ms}, backward: {rate: unlimited, jitter: 0}}
  - {between: [b, c], direct: true}
"""
    first, second = _load(tmp_path, text).links
    assert first.forward == Conditions(0.3, 0.001, 125_000)
    assert first.backward == Conditions(0.01, 0.0, None)
    assert second == Link("b", "c", direct=True)


def test_a_link_may_be_promised_not_to_come_up(tmp_path: Path) -> None:
    text = "servers: {a: {}, b: {tls: 'off'}, c: {}}\nlinks: [{between: [a, b], comes_up: false}, {between: [a, c]}]"
    topology = _load(tmp_path, text)
    assert [link.comes_up for link in topology.links] == [False, True]
    assert (topology.neighbours("a"), topology.linked("a")) == (("c",), ("b", "c"))


def test_a_default_of_direct_can_be_taken_back(tmp_path: Path) -> None:
    text = "defaults: {direct: true}\nservers: {a: {}, b: {}}\nlinks: [{between: [a, b], direct: false, latency: 1s}]"
    assert _load(tmp_path, text).links == (Link("a", "b", Conditions(1.0), Conditions(1.0)),)


@pytest.mark.parametrize("several", ["prosody+ejabberd", "[prosody, ejabberd@24.12]"])
def test_softwares_are_dealt_to_those_who_name_none(tmp_path: Path, several: str) -> None:
    text = f"defaults: {{software: {several}}}\nservers: {{a: {{}}, b: {{software: ejabberd}}, c: {{}}, d: {{}}}}"
    assert [server.software for server in _load(tmp_path, text).servers] == [
        "prosody",
        "ejabberd",
        "ejabberd",
        "prosody",
    ]


def test_one_line_knows_all_that_defaults_know() -> None:
    topology = load(
        "pair,software=ejabberd+prosody,users=4,latency=40ms,jitter=2ms,rate=64kbit/s,unlinked=refused,feed=meta"
    )
    assert [server.software for server in topology.servers] == ["ejabberd", "prosody"]
    assert {(server.users, server.feed) for server in topology.servers} == {(4, Feed.META)}
    assert topology.links[0].backward == Conditions(0.04, 0.002, 8000)
    assert topology.unlinked is Unlinked.REFUSED
    assert load("pair,direct=true").links[0].direct
    assert load("pair,tls=off").servers[0].authentication is Authentication.DIALBACK
    assert load("ring:3,name=three").name == "three"


def test_people_are_together_unless_a_file_or_a_line_places_each(tmp_path: Path) -> None:
    file = tmp_path / "apart.yaml"
    file.write_text("people: {placement: each}\nservers: {a: {}}\n")
    assert load("pair").placement is Placement.TOGETHER
    assert load(file).placement is load("pair,placement=each").placement is Placement.EACH
    assert load(f"{file},placement=together").placement is Placement.TOGETHER
    assert load(f"{file},users=2").placement is Placement.EACH
    assert files.load(files.dump(build_placeholder_plan(load(file)))).topology.placement is Placement.EACH
    assert EACH in " ".join(render_plan(build_placeholder_plan(load(file))).split())


def test_a_server_of_ones_own_lies_beside_the_topology(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.yaml").write_text("name: mine\ncommand: [./server, --verbose]\nimage: mine:latest\n")
    server, other = _load(tmp_path, "servers: {a: {software: ./own/mine.yaml, users: 2}, b: {}}").servers
    folder = str(tmp_path / "own")
    assert server.custom == Custom("mine", ("./server", "--verbose"), "mine:latest", folder)
    assert (server.software, server.version, server.users) == ("custom", "", 2)
    assert other.custom is None


def test_a_server_of_ones_own_is_called_by_its_name_in_tables() -> None:
    assert "  jabberd2  " in render_plan(build_placeholder_plan(load("jabberd2,name=x")))


def test_a_server_of_ones_own_may_need_packages(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text("name: mine\ncommand: [./serve]\npackages: [jabberd2, libstdc++6]\n")
    assert load_custom(own).packages == ("jabberd2", "libstdc++6")
    own.write_text("name: mine\ncommand: [./serve]\npackages: [jabberd2, --reinstall]\n")
    with pytest.raises(UserError, match=r"mine\.yaml:3:\d+: packages"):
        load_custom(own)


def test_a_server_of_ones_own_in_one_line_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("name: mine\ncommand: [./server]\n")
    mine, other = load("pair,software=./mine.yaml+prosody@13.0").servers
    assert mine.custom == Custom("mine", ("./server",), None, str(tmp_path)) and other.version == "13.0"
    assert (mine.users, other.users) == (8, 0), "the lab can make no further accounts on a server it knows nothing of"


def test_servers_the_lab_does_not_start_have_no_accounts(tmp_path: Path) -> None:
    text = """
defaults: {users: 3}
servers: {a: {}, b: {software: external, address: "127.0.0.1:5269"}, c: {software: scripted}}
"""
    a, b, c = _load(tmp_path, text).servers
    assert (a.users, b.users, c.users) == (3, 0, 0)
    assert b.address == "127.0.0.1:5269" and b.version == c.version == ""


def test_a_shape_in_a_file(tmp_path: Path) -> None:
    topology = _load(tmp_path, "defaults: {users: 1}\nshape: {kind: ring, servers: 6, seed: 3}\n")
    assert len(topology.links) == 6 and {server.users for server in topology.servers} == {1}


@pytest.mark.parametrize("name", list_names())
def test_every_committed_topology(name: str) -> None:
    topology = load(name)
    text = (packaged.find_folder("topologies") / f"{name.replace('-', '_')}.yaml").read_text()
    assert topology.name == name
    assert topology.teaches.endswith(".") and len(topology.teaches) > 40
    assert text.startswith("# yaml-language-server: $schema=../schemas/topology.json\n")
    assert len(topology.servers) <= 8, "small: it runs on every machine"


def test_there_are_enough_of_them_and_all_promises_occur() -> None:
    topologies = [load(name) for name in list_names()]
    assert len(topologies) >= 10
    assert {topology.unlinked for topology in topologies} == set(Unlinked)


def test_an_installation_without_its_data_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.errors import MissingError

    monkeypatch.setattr(packaged, "PACKAGE", tmp_path / "lab")
    with pytest.raises(MissingError, match="install xmpplab again"):
        packaged.find_folder("topologies")
    (tmp_path / "lab" / "data" / "topologies").mkdir(parents=True)
    assert packaged.find_folder("topologies") == tmp_path / "lab" / "data" / "topologies"


def test_nothing_is_no_topology() -> None:
    with pytest.raises(UserError, match="no topology is named"):
        load(" ")


def test_a_source_can_be_given_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a,b.yaml").write_text("")
    for source in ("pair", "ring:6,users=3", "hidden-island", "mixed-pair,users=6"):
        assert make_absolute(source) == source
    assert make_absolute("mine.yaml") == f"{tmp_path}/mine.yaml"
    assert make_absolute("./mine.yaml,users=6") == f"{tmp_path}/mine.yaml,users=6"
    assert make_absolute("sub/mine.yaml,users=6") == f"{tmp_path}/sub/mine.yaml,users=6"
    assert make_absolute("./a,b.yaml") == f"{tmp_path}/a,b.yaml"
    assert make_absolute("/x/y.yaml") == "/x/y.yaml"

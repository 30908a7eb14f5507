"""Topologies from GraphML and edge lists, as networkx writes them; what is wrong with some is in errors/graph_*."""

import time
from pathlib import Path

import networkx
import pytest

from lab.errors import UserError
from lab.topology.files import load
from lab.topology.limits import MAX_LINKS, MAX_SERVERS


def village():
    graph = networkx.Graph()
    graph.add_node("home", software="prosody@0.12", users=3, operator="club", label="Home", x=1.5)
    graph.add_node("away", software="ejabberd", users=2, features="+websocket -mam")
    graph.add_node("alone")
    graph.add_edge("away", "home", latency="40ms", loss=0.1, weight=3)
    return graph


@pytest.fixture
def write(tmp_path):
    def save(graph, name: str) -> Path:
        path = tmp_path / name
        (networkx.write_graphml if name.endswith(".graphml") else networkx.write_edgelist)(graph, path)
        return path

    return save


def test_fields_of_nodes_and_edges_are_those_of_servers_and_links(write) -> None:
    topology = load(write(village(), "Village.graphml"))
    home, away, alone = topology.servers
    assert topology.name == "village" and [one.name for one in topology.servers] == ["home", "away", "alone"]
    assert (home.software, home.version, home.users, home.operator) == ("prosody", "0.12", 3, "club")
    assert (away.software, away.users, away.features) == ("ejabberd", 2, ("+websocket", "-mam"))
    assert alone.users == 0
    (link,) = topology.links
    assert {link.a, link.b} == {"home", "away"}
    assert (link.forward.latency, link.backward.latency) == (0.04, 0.04)


def test_an_edge_list_has_links_with_their_fields_and_names_without_links(write, tmp_path) -> None:
    topology = load(write(village(), "village.edges"))
    assert [one.name for one in topology.servers] == ["home", "away"]
    assert topology.links[0].forward.latency == 0.04
    path = tmp_path / "three.edges"
    path.write_text("# by hand\na b\n\nc  # without links\n")
    assert [one.name for one in load(path).servers] == ["a", "b", "c"] and len(load(path).links) == 1


@pytest.mark.parametrize("suffix", [".graphml", ".edges"])
def test_the_graph_is_the_same_graph_and_numbers_become_names(write, suffix) -> None:
    graph = networkx.karate_club_graph()
    topology = load(write(networkx.Graph(graph.edges), f"karate{suffix}"))
    links = {frozenset((link.a, link.b)) for link in topology.links}
    assert links == {frozenset((f"s{a}", f"s{b}")) for a, b in graph.edges}
    assert {server.name for server in topology.servers} == {f"s{node}" for node in graph}


def test_values_behind_the_name_hold_for_all_and_their_errors_have_columns(write) -> None:
    path = write(village(), "village.graphml")
    assert {one.users for one in load(f"{path},users=7").servers} == {7}
    with pytest.raises(UserError, match="usres: unknown key"):
        load(f"{path},usres=7")


def test_a_default_of_a_key_holds_for_nodes_without_a_value(tmp_path) -> None:
    path = tmp_path / "default.graphml"
    path.write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
        '<key id="u" for="node" attr.name="users" attr.type="int"><default>4</default></key>'
        '<graph edgedefault="undirected"><node id="a"/><node id="b"><data key="u">5</data></node></graph></graphml>'
    )
    assert [one.users for one in load(path).servers] == [4, 5]


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (networkx.empty_graph(MAX_SERVERS + 1), f"more than {MAX_SERVERS} servers"),
        (networkx.complete_graph(220), f"more than {MAX_LINKS} links"),
    ],
    ids=["servers", "links"],
)
def test_what_no_lab_can_hold_is_refused_where_it_becomes_too_much(graph, said, tmp_path) -> None:
    lines = [f'<node id="n{node}"/>' for node in graph]
    lines += [f'<edge source="n{a}" target="n{b}"/>' for a, b in graph.edges]
    path = tmp_path / "large.graphml"
    path.write_text("<graphml><graph>\n" + "\n".join(lines) + "\n</graph></graphml>")
    with pytest.raises(UserError, match=said) as caught:
        load(path)
    assert f"large.graphml:{2 + (MAX_SERVERS if 'servers' in said else len(graph) + MAX_LINKS)}:1" in str(caught.value)
    path = tmp_path / "large.edges"
    path.write_text("".join(f"n{a} n{b}\n" for a, b in graph.edges) or "\n".join(f"n{node}" for node in graph))
    with pytest.raises(UserError, match=said):
        load(path)


def test_an_entity_that_grows_is_not_expanded(tmp_path) -> None:
    bomb = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    path = tmp_path / "bomb.graphml"
    path.write_text(f'<!DOCTYPE graphml [<!ENTITY e0 "a">{bomb}]><graphml><graph><node id="&e11;"/></graph></graphml>')
    began = time.process_time()
    with pytest.raises(UserError, match="DOCTYPE"):
        load(path)
    assert time.process_time() - began < 5


def test_a_literal_without_an_end_is_refused(tmp_path) -> None:
    path = tmp_path / "deep.edges"
    path.write_text("a b " + "-" * 100_000 + "1\n")
    with pytest.raises(UserError, match=r"deep\.edges:1:5: behind the two names"):
        load(path)


def test_a_missing_graph_and_one_that_is_no_text_are_refused(tmp_path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        load(str(tmp_path / "none.graphml"))
    path = tmp_path / "binary.graphml"
    path.write_bytes(b"\xff\xfe<")
    with pytest.raises(UserError, match="not UTF-8"):
        load(path)

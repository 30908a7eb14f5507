"""The exported server takes its place in the topology, and only what must be is replaced in its file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.runner.export_verification import ExportedServer, put_server
from lab.servers.replacements import Replacement, replace_settings
from lab.topology.files import load
from lab.topology.spec import Feed

VALUES = [
    Replacement("address", r"^( *)address: .*$", "address: 127.0.0.1"),
    Replacement("name", r"^name: .*$", "name: x"),
]


def test_the_exported_server_comes_first_and_its_links_begin_with_it() -> None:
    topology = load("hidden_island")
    one_way = tuple(replace(link, forward=Conditions(latency=1.0)) for link in topology.links)
    topology, spec = replace(topology, links=one_way), topology.server("public")
    put = put_server(topology, ExportedServer(spec, "a file", "text"))
    assert [one.name for one in put.servers] == ["public", "island", "home"]
    assert put.servers[0].configuration == "text"
    assert put.servers[0].feed is Feed.FULL
    first, other = put.links
    assert (first.a, first.b) == ("public", "home")
    before = topology.link("home", "public")
    assert before is not None
    assert (first.forward, first.backward) == (before.backward, before.forward)
    assert first.forward != first.backward
    assert other == topology.link("island", "home")


def test_every_line_of_a_setting_is_replaced_and_all_others_stay() -> None:
    text = "name: a\nlisten:\n  address: 1\n    address: 2\n# address: 3\nother: \\1\n"
    assert replace_settings(text, VALUES) == (
        "name: x\nlisten:\n  address: 127.0.0.1\n    address: 127.0.0.1\n# address: 3\nother: \\1\n"
    )


def test_settings_that_are_not_there_are_named_at_once() -> None:
    with pytest.raises(UserError, match="sets no `address` and no `name`"):
        replace_settings("nothing\n", VALUES)

"""A container of somebody else's on a lab's network is named at once; no engine is needed here."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.errors import UserError
from lab.plan.layout import Layout
from lab.runtime.containers import removal
from lab.runtime.containers.engine import LAB

NETWORK = {"Id": "n1", "Name": "xmpplab.pair"}


class Client:
    """An engine with a network that cannot be removed while a container is on it."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        self.api, self.labels = self, labels

    def remove_network(self, identifier: str) -> None:
        pass

    def inspect_network(self, identifier: str) -> dict:
        return {"Containers": {"c1": {"Name": "intruder"}}}

    def inspect_container(self, identifier: str) -> dict:
        return {"Config": {"Labels": self.labels}}


async def test_a_foreign_container_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(function, *arguments):
        return function(*arguments)

    async def each(function, items):
        for item in items:
            function(item)

    engine = SimpleNamespace(client=Client(None), call=call, each=each)
    monkeypatch.setattr(removal, "list_containers", lambda client, layout: [])
    monkeypatch.setattr(removal, "_networks", lambda client, filters: [NETWORK])
    with pytest.raises(UserError, match=r"container intruder is .*`docker network disconnect xmpplab.pair intruder`"):
        await removal.end(engine, Layout(Path("/labs/pair")))


def test_the_labs_own_containers_are_not_foreign() -> None:
    client = Client({LAB: "/labs/pair"})
    assert removal._foreign_containers(client, Layout(Path("/labs/pair")), [NETWORK]) is None

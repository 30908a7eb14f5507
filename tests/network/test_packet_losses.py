"""Which packets are dropped for which losses; and where losing packets is refused."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lab.errors import MissingError, UserError
from lab.lifecycle import faults, up
from lab.network.packet_losses import PacketLosses
from lab.system.packet_filter import Drop
from lab.topology.faults import read_one
from lab.topology.files import load

LOSS = read_one({"name": "lossy", "action": "conditions", "selector": {"link": ["a", "b"]}, "loss": "5%"})
SLOW = read_one({"action": "conditions", "latency": "5ms"})


class Rules:
    """Keeps the rules that hold."""

    def __init__(self) -> None:
        self.drops: Sequence[Drop] = ()

    async def set(self, drops: Sequence[Drop]) -> None:
        self.drops = drops


def losses(rules: Rules) -> PacketLosses:
    relays: Any = {
        (source, target): SimpleNamespace(plan=SimpleNamespace(port=port))
        for source, target, port in (("a", "b", 1), ("b", "a", 2), ("a", "c", 3))
    }
    return PacketLosses(rules, "127.1.1.1", relays)  # type: ignore[arg-type]


def test_one_direction_is_what_is_sent_to_one_relay_and_answered_by_the_other() -> None:
    rules = Rules()
    asyncio.run(losses(rules).apply(("a", "b"), "x", 0.05))
    assert [one.write() for one in rules.drops] == [
        "ip daddr 127.1.1.1 tcp dport 1 numgen random mod 1000 < 50 counter drop",
        "ip saddr 127.1.1.1 tcp sport 2 numgen random mod 1000 < 50 counter drop",
    ]


async def test_the_later_loss_holds_and_they_end_in_any_order() -> None:
    rules = Rules()
    lossy = losses(rules)
    await lossy.apply(("a", "c"), "first", 0.1)
    await lossy.apply(("a", "c"), "second", 0.2)
    assert [one.share for one in rules.drops] == [0.2]
    await lossy.heal(("a", "c"), "second")
    assert [one.share for one in rules.drops] == [0.1]
    await lossy.heal(("a", "c"), "never applied")
    await lossy.heal(("a", "c"), "first")
    assert rules.drops == []


def test_containers_refuse_it_with_the_reason() -> None:
    with pytest.raises(UserError, match="lossy: loss: packets can be dropped with the runtime processes only"):
        faults.refuse_packet_loss([LOSS], "containers")
    faults.refuse_packet_loss([SLOW], "containers")


@pytest.mark.parametrize(("uid", "nft", "why"), [
    (1000, "/usr/sbin/nft", "only root may"), (0, None, "install the package nftables"),
])  # fmt: skip
async def test_up_refuses_it_before_anything_starts(
    uid: int, nft: str | None, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*arguments: object, **more: object) -> None:
        raise AssertionError("something was begun")

    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(shutil, "which", lambda name, path: nft)
    monkeypatch.setattr(up, "sweep", never)
    with pytest.raises(MissingError, match=f"lossy: loss: .*{why}"):
        await up.up(replace(load("pair"), faults=(LOSS,)), runtime="processes")

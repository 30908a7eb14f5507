"""A plan as tables: what `xmpplab up` would start. Nothing is started, and nothing is needed for it."""

from __future__ import annotations

from lab.declarations.links import LINK_FIELDS
from lab.plan.build import build
from lab.plan.model import Plan, RuntimeFacts
from lab.system.tables import format_table, wrap_text
from lab.topology.spec import Placement, Topology

#: Addresses of a lab are reserved when it starts; these stand for them.
PLACEHOLDER_NETWORK = "127.80.0.0/16"
EACH = "Each person's devices are in a container or process of their own, with an address of its own."


def build_placeholder_plan(topology: Topology) -> Plan:
    """The plan of a topology with the facts that `processes` would have on a machine without labs."""
    facts = RuntimeFacts(
        runtime="processes",
        network=PLACEHOLDER_NETWORK,
        folders="/lab/servers/{server}",
        modules="/lab/modules/{software}",
    )
    return build(topology, facts)


def render_plan(plan: Plan) -> str:
    """The plan as tables: servers, then each direction of each link."""
    servers = [
        (
            one.spec.name,
            one.spec.domain,
            f"{one.spec.software_name}@{one.spec.version}".rstrip("@"),
            one.address,
            one.spec.users,
            " ".join(plan.topology.neighbours(one.spec.name)) or "-",
            len(one.files),
        )
        for one in plan.servers
    ]
    parts = [
        "\n".join(wrap_text(f"{plan.topology.name}: {plan.topology.teaches}", then="  ")),
        format_table(("server", "domain", "software", "address", "users", "linked with", "files"), servers),
    ]
    if ways := [row for link in plan.topology.links for row in _ways(plan, link.a, link.b)]:
        parts.append(format_table(("from", "to", "through", *(field.name for field in LINK_FIELDS)), ways))
    memory = sum(one.memory for one in plan.servers) / 2**20
    said = (
        f"Between servers without a link: {plan.topology.unlinked.value}. Idle servers need about {memory:.0f} MiB.",
        *([EACH] if plan.topology.placement is Placement.EACH else []),
        "Addresses are placeholders: a lab gets its own when it starts. Nothing was started.",
    )
    parts.append("\n".join(line for sentence in said for line in wrap_text(sentence, then="  ")))
    return "\n\n".join(parts)


def _ways(plan: Plan, a: str, b: str) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for source, target in ((a, b), (b, a)):
        relay = plan.relay(source, target)
        if relay is None:
            rows.append((source, target, "direct", *("-" for _ in LINK_FIELDS)))
        else:
            values = (field.write(getattr(relay.conditions, field.name)) for field in LINK_FIELDS)
            rows.append((source, target, f"{plan.services}:{relay.port}", *values))
    return rows

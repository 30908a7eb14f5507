"""Publishing and fetching items (XEP-0163, XEP-0060), as OMEMO needs them.

ejabberd 24.12 refuses a first item (item-not-found) now and then while others publish their first ones. To make a node
it takes the next number from one record of its database (`pubsub_index:new/1`). Where two do so at once the database
(mnesia) ends one of the two transactions in order to begin it again (`cyclic`), but `mod_pubsub:do_transaction/4`
catches that and gives up. Nothing has been changed then, and asking again is all that is needed: a publication makes
its node by itself (XEP-0060 section 7.1.4), so nothing else is meant by item-not-found. A node that is made by itself
(section 8.1) is refused with internal-server-error then.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lab.clients.xmpp.client_stream import ClientStream, Refused

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = "http://jabber.org/protocol/pubsub#owner"
ERRORS = "http://jabber.org/protocol/pubsub#errors"
DATA = "jabber:x:data"
#: Publications of one item. Of those who make nodes at the same moment one gets through each time.
TRIES = 50
#: What ejabberd says where it gave up, see above.
_GAVE_UP = ("item-not-found", "internal-server-error")
_FORM = "http://jabber.org/protocol/pubsub#{}"

#: Everybody may read, and the item outlives the session (XEP-0384 0.3 section 4.3).
OPTIONS = {"pubsub#access_model": "open", "pubsub#persist_items": "true"}
#: As the owner configures a node: there is one item, too. ejabberd 23.01 refuses a publication that says so
#: (resource-constraint: unknown field); a node that a publication makes has one item anyway (XEP-0163 section 4.3.2).
CONFIGURATION = {**OPTIONS, "pubsub#max_items": "1"}
#: A node with as many items as the server allows (XEP-0384 section 5.3.2).
CONFIGURATION_OF_MANY = {**OPTIONS, "pubsub#max_items": "max"}
#: The same where the server lets nobody open a node to strangers: its own access model is taken as it is.
CONFIGURATION_FOR_CONTACTS = {"pubsub#persist_items": "true", "pubsub#max_items": "max"}
#: What a server says to an access model that it does not allow: ejabberd takes a configuration with another one.
_REFUSED_MODEL = ("not-acceptable", "forbidden", "conflict", "bad-request", "feature-not-implemented")
#: The name of a node's only item (XEP-0384 section 5.3.1).
CURRENT = "current"


async def fetch(stream: ClientStream, of: str, node: str, item: str | None = None) -> ET.Element | None:
    """The payload of an item, or of the node's newest; None if the node or the item is not there. Raises Refused."""
    query = ET.Element(f"{{{PUBSUB}}}pubsub")
    if item is None:
        ET.SubElement(query, f"{{{PUBSUB}}}items", {"node": node, "max_items": "1"})
    else:
        items = ET.SubElement(query, f"{{{PUBSUB}}}items", {"node": node})
        ET.SubElement(items, f"{{{PUBSUB}}}item", {"id": item})
    try:
        answer = await stream.ask("get", query, of)
    except Refused as error:
        if error.condition == "item-not-found":
            return None
        raise
    found = answer.find(f"{{{PUBSUB}}}pubsub/{{{PUBSUB}}}items/{{{PUBSUB}}}item")
    return None if found is None or not len(found) else found[0]


async def publish(stream: ClientStream, node: str, payload: ET.Element, item: str = CURRENT) -> None:
    """Publish as the node's only item, or as one of many, readable for everybody. Raises Refused.

    A node that is configured otherwise is configured anew first (precondition-not-met, XEP-0060 section 7.1.5); one
    that the server failed to make is asked for again, see the module. Where the server does not let it be opened it is
    published all the same, as clients do: contacts can read it, and the stream's `trouble` is told.
    """
    options, configured = OPTIONS, False
    for left in reversed(range(TRIES)):
        try:
            await stream.ask("set", _publication(node, payload, item, options))
        except Refused as error:
            unmet = bool(options) and error.xml.find(f".//{{{ERRORS}}}precondition-not-met") is not None
            if unmet and not configured:
                configured = True
                await _configure(stream, node, CONFIGURATION if item == CURRENT else CONFIGURATION_OF_MANY)
            elif unmet:
                stream.trouble(f"{node} is published for contacts only: the own server does not let it be opened")
                options = {}
            elif not left or error.condition not in _GAVE_UP:
                raise
        else:
            return


async def _configure(stream: ClientStream, node: str, configuration: dict[str, str]) -> None:
    """Configure a node of one's own. What it is then shows when something is published: a server may ignore a part."""
    try:
        await stream.ask("set", _configuration(node, configuration))
    except Refused as error:
        if error.condition not in _REFUSED_MODEL:
            raise


async def make_node_of_many(stream: ClientStream, node: str) -> None:
    """Make a node of one's own for many items, or configure the one that there is so. Raises Refused.

    It is made before the first publication: one that a publication makes keeps a single item until it is configured,
    and would lose what another device publishes in between.
    """
    configuration = CONFIGURATION_OF_MANY
    for left in reversed(range(TRIES)):
        try:
            await stream.ask("set", _creation(node, configuration))
        except Refused as error:
            if error.condition == "conflict":
                await _configure(stream, node, configuration)
                return
            if error.condition in _REFUSED_MODEL and configuration is CONFIGURATION_OF_MANY:
                configuration = CONFIGURATION_FOR_CONTACTS
            elif not left or error.condition not in _GAVE_UP:
                raise
        else:
            return


async def retract(stream: ClientStream, node: str, item: str) -> None:
    """Delete an item of a node of one's own, if there is one. Raises Refused."""
    query = ET.Element(f"{{{PUBSUB}}}pubsub")
    ET.SubElement(ET.SubElement(query, f"{{{PUBSUB}}}retract", {"node": node}), f"{{{PUBSUB}}}item", {"id": item})
    try:
        await stream.ask("set", query)
    except Refused as error:
        if error.condition != "item-not-found":
            raise


async def delete(stream: ClientStream, node: str) -> None:
    """Delete a node of one's own, if there is one. Raises Refused."""
    query = ET.Element(f"{{{OWNER}}}pubsub")
    ET.SubElement(query, f"{{{OWNER}}}delete", {"node": node})
    try:
        await stream.ask("set", query)
    except Refused as error:
        if error.condition != "item-not-found":
            raise


def _publication(node: str, payload: ET.Element, name: str, options: dict[str, str]) -> ET.Element:
    query = ET.Element(f"{{{PUBSUB}}}pubsub")
    item = ET.SubElement(ET.SubElement(query, f"{{{PUBSUB}}}publish", {"node": node}), f"{{{PUBSUB}}}item")
    item.set("id", name)
    item.append(payload)
    if options:
        ET.SubElement(query, f"{{{PUBSUB}}}publish-options").append(_form("publish-options", options))
    return query


def _creation(node: str, configuration: dict[str, str]) -> ET.Element:
    query = ET.Element(f"{{{PUBSUB}}}pubsub")
    ET.SubElement(query, f"{{{PUBSUB}}}create", {"node": node})
    ET.SubElement(query, f"{{{PUBSUB}}}configure").append(_form("node_config", configuration))
    return query


def _configuration(node: str, configuration: dict[str, str]) -> ET.Element:
    query = ET.Element(f"{{{OWNER}}}pubsub")
    ET.SubElement(query, f"{{{OWNER}}}configure", {"node": node}).append(_form("node_config", configuration))
    return query


def _form(kind: str, options: dict[str, str]) -> ET.Element:
    form = ET.Element(f"{{{DATA}}}x", {"type": "submit"})
    for name, value in {"FORM_TYPE": _FORM.format(kind), **options}.items():
        entry = ET.SubElement(form, f"{{{DATA}}}field", {"var": name})
        if name == "FORM_TYPE":
            entry.set("type", "hidden")
        ET.SubElement(entry, f"{{{DATA}}}value").text = value
    return form

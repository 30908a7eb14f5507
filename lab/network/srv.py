"""Looks up a domain's server in the lab's DNS, as another server does (RFC 6120 section 3.2.1)."""

from __future__ import annotations

import ipaddress

import dns.asyncquery
import dns.exception
import dns.message
import dns.rcode

from lab.errors import PeerError

PATIENCE = 5.0  # seconds: the lab's DNS is on the same machine, and sometimes busy


async def look_up_server(domain: str, server: tuple[str, int]) -> tuple[str, int]:
    """Address and port from the SRV record; `server` is the address and port of the DNS for the server that asks.

    Raises PeerError if the DNS does not answer or knows no server for the domain.
    """
    question = dns.message.make_query(f"_xmpp-server._tcp.{domain}", "SRV")
    try:
        answer = await dns.asyncquery.udp(question, server[0], port=server[1], timeout=PATIENCE)
    except (dns.exception.DNSException, OSError) as error:
        raise PeerError(f"no stream to {domain}: the lab's DNS does not answer: {error}") from error
    records = [record for rrset in answer.answer for record in rrset]
    if not records:
        code = dns.rcode.to_text(answer.rcode())
        raise PeerError(f"no stream to {domain}: the lab's DNS names no server for it ({code})")
    target = records[0].target.to_text(omit_final_dot=True)
    return str(ipaddress.ip_address(target)), int(records[0].port)  # the lab's targets are addresses

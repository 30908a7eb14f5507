"""The agent protocol, version 1: JSON Lines on standard input and output.

An agent is a process that hosts devices (XMPP clients). It reads requests, one JSON object a line:

    {"id": 1, "op": "connect", "device": "d1", ...}

and each is answered once, in any order, with `{"id": 1, "ok": {...}}` or
`{"id": 1, "error": {"kind": "usage|missing|timeout|peer|internal", "message": "..."}}`, with "condition" where a stanza
error was the reason (RFC 6120 section 8.3.3). In between it writes events:
`{"event": "delivered", "device": "d1", "at": 1700000000.0, ...}`. Standard input at its end means: disconnect
everything and exit. Standard error is for people. `device` is a name the other side chooses.

Requests (fields beside id, op, device; `?` may be left out) and what is true once they are answered:

hello           {} -> {protocol: 1, agent, encryptions: [...]}
connect         {jid, password, resource, host, port, authority (PEM text), encryption, trust ("blind" |
                "undecided"), folder? (keys and trust persist here), resumable? (XEP-0198 section 5), timeout}
                -> {jid: full JID, stream, omemo_device? (id), fingerprint? (hex)}: bound, roster fetched,
                presence sent, offline messages handed over; with OMEMO the device list and bundle can be fetched.
                With keys_optional? it goes online where its server refuses the keys, and says so in `trouble`.
                `libraries?` is a folder with what an encryption loads (libotr.so.5), where the machine does not have it
register        {jid, password, host, port, authority, token?, timeout} -> {}: the account was registered in band
                (XEP-0077), with a token where given (XEP-0445); the device is not connected
disconnect      {} -> {}: the server has closed the stream (`Disconnected` has been sent)
drop_connection {} -> {}: the connection is reset, the stream not closed (`disconnected` has been sent)
stall_connection {} -> {}: no byte passes the connection, in either direction, until it is released; both sides wait
release_connection {} -> {}: what waited has been sent and received; an error where the connection was lost meanwhile
resume          {host, port, timeout} -> {jid, stream}: the stream goes on over a new connection (XEP-0198 section 5);
                what was not acknowledged has been sent once more, by both sides. An error is the end of the stream
delay_acknowledgements {seconds} -> {}: what it receives from now on it acknowledges so late (XEP-0198 section 4)
send            {to, body (null: none), message (stanza id), encryption? ("plain": in the clear on purpose), room?,
                marker?, extensions? ([XML of an element]: further children of the stanza), timeout}
                -> {stream, encryption, left_out: [{owner (bare JID), device (id), reason, published (bool, null: not
                known), excluded (bool: its key is distrusted)}], keys: [{owner, device}]}: handed to the stream,
                encrypted for every device known then, but for those left out; `keys` are the OMEMO devices that can
                read it. In a room that is for its members, admins, owners and occupants; one that is semi-anonymous is
                an error
send_raw        {xml} -> {}: exactly these bytes (UTF-8) are on the stream, behind what was sent before
presence        {show? ("away" | "chat" | "dnd" | "xa" | "unavailable"), priority? (-128 to 127), timeout}
                -> {}: the own server has handled it; offline messages that it asked for are handed over
join            {room, nick, timeout} -> {occupants: [full room JIDs]}: self-presence (status 110) was received
leave           {room, nick} -> {}
occupants       {room} -> {occupants: [...]}
configure_room  {room, values: {var: value}} -> {}
archive         {with?, start? (XEP-0082 date or seconds), archive? (bare JID of a room), deliver?}
                -> {messages: [{id, from, to, at, body, encrypted}]}; with deliver, those that this device was not
                handed before (and did not send) are emitted as `delivered` events via "archive", and are decrypted
upload          {name, data (base64), media_type, addresses: {domain: IP address}, authority (PEM text), encrypt?,
                timeout} -> {url, sha256 (hex) and stored (bytes) of what the server has}: the own server has stored the
                file (XEP-0363), and others can fetch it there. With `encrypt` it is encrypted before, under a random
                name, and the URL is an aesgcm:// one with the key (XEP-0454)
fetch           {url, addresses, authority, timeout} -> {data (base64)}: a file, from a host that is in `addresses` or
                below one of them; its certificate is valid for that host. What an aesgcm:// URL names is decrypted
devices         {of (bare JID), timeout} -> {ids: [...]}: OMEMO device ids published, asked afresh
remove_device   {omemo_device (id), timeout} -> {}: the own account's OMEMO device lists are without this id, which is
                another device's, and its bundle is gone
rotate_signed_prekey {timeout} -> {}: the own bundles have a new signed prekey, and the server has them; the one before
                is kept for who has fetched it, the one before that is gone
replace_sessions {of, timeout} -> {}: with each device of this person that there is a session with a new one was begun,
                and the device was told by an empty message; an error where one of them could not be
back_up         {} -> {backup (its name)}: a copy of the keys, sessions and trust of a device that is not connected is
                kept as long as the agent
restore         {backup} -> {}: keys, sessions and trust of a device that is not connected are as they were then
fingerprints    {of} -> {devices: [{id, fingerprint, trust}]}
set_trust       {of, fingerprint, level ("trusted" | "distrusted" | "undecided")} -> {}
verify          {to (JID), secret, question?, timeout} -> {result: "match" | "mismatch" | "aborted"}: whether the other
                knows the secret (OTR: socialist millionaires' protocol), in the session that there is
answer          {to (JID), secret (null: break it off), timeout} -> {}: the other's `verify` was waited for and answered
end_session     {to (JID)} -> {told: [{message (id), to}]}: an OTR session is ended, and the other is told by these
ping            {to, timeout} -> {seconds}
iq              {xml, timeout} -> {xml}: any IQ, its answer

Requests of a raw server-to-server peer (`software: scripted`; docs/agents.md), a device of another kind:

peer_listen     {domain, host, port, certificate, key, authority (paths of PEM files), dns: [address, port],
                handshake? (seconds that TLS may take)}
                -> {}: streams are accepted at host and port
peer_send       {xml} -> {stream}: one stanza, as it is, on our stream to the server of its `to`, opened if need be
peer_raw        {to (domain), data} -> {stream}: these bytes (UTF-8) on that stream
peer_behave     {pings?: bool, streams?: "answer" | "silent" | "refuse"} -> {}: whether pings are answered; how streams
                that come in are met: as they should, with nothing, with a reset
peer_negotiate  {tls?: "required" | "optional" | "none", authentication?: "external" | "dialback" | "either" | "none",
                header?: {attribute: text, or null to leave it out}, features? (XML, "" for the usual ones),
                certificate?: [certificate, key] (paths), key?: "true" | "false" (of dialback), verifies?: "truth" |
                "valid" | "invalid" | "silence" (as authoritative server), direction?: "out" | "in"} -> {}: new streams
                are negotiated like that, those that we open ("out"), accept ("in"), or both; what is left out stays
peer_open       {to (domain), within? (seconds, 20)} -> {open: bool, reason, condition, by, features (XML), tls,
                authentication, stream}: our stream to that domain was opened afresh, or why it was not; with
                authentication "none" it is open once TLS is negotiated
peer_close      {domain?, condition? (a stream error), abort?: bool (reset), initiated?: bool (our own only)}
                -> {streams: how many}: those with that domain, or all, are gone; it still listens
disconnect      {} -> {streams}: nothing listens, no stream is left

Every request of a device may carry `timeout`, in seconds (30 if it does not): then it is given up, with kind "timeout".

Events (all with event, device, at):

connected       {jid, stream, resumed?, omemo_device?: its OMEMO device id}
disconnected    {jid, stream, reason, unacknowledged: [ids of messages of which the server may not know that they
                were received, XEP-0198], resumable?: the server may have kept the stream}
presence-sent   {stream, available, priority, show}: the device said so after it had connected
delivered       {message, from, to, stream, via ("live" | "offline" | "archive" | "carbon"), body, encrypted
                (namespace or null), room}
bounced         {message, by, condition, type, text}
decrypted       {message, from, encryption, body, sender_key, trust, via}
content         {message, from, via, xml}: what an envelope (XEP-0420) had beside the text, as a message of its own
not-decrypted   {message, from, encryption, reason}
receipt         {message, from}: a receipt for a message of this device (XEP-0184); it answers requests by itself
presence        {from, type, room, codes: [...]}
stanza          {direction ("in": received, "out": sent), xml, stream}: a stanza in the namespace jabber:client; a
                received one before all that follows from it
peer_stanza     {name, type, id, from, to, xml, domain, stream, direction}: a stanza was received on a stream with that
                domain; `direction` is the stream's, "out" being against it (RFC 6120 section 4.5)
peer_stream     {state ("open" | "closed"), direction ("in" | "out"), domain, stream, tls, authentication, reason,
                condition, by}: stanzas may pass on a stream; it ended, or could not be opened (then `authentication` is
                empty); `condition` is of a stream error, `by` who sent it ("server": the peer itself, or "peer")
peer_dialback   {name ("result" | "verify"), type, id, from, to, domain, stream, direction}: an element of dialback
                (XEP-0220) that proves nothing on its stream: a question to us, an answer to one, or what nobody asked
trouble         {message}: an error that no request asked about
"""

from __future__ import annotations

VERSION = 1

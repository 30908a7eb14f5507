"""Names of files in a server's folder that are the same for every software."""

from __future__ import annotations

FEED = "feed.jsonl"  # what it saw, one JSON object a line
PROBE_PATIENCE = 10.0  # seconds until an unanswered ping is sent again, on links without latency
CLIENT_CERTIFICATES = "client-certs"  # folder of the certificate that clients see, where servers see a wrong one
READY = "ready.jsonl"  # {"probed": "<domain>"} for each neighbour that answered its ping
LOG = "server.log"
TOOLS = "tools"  # folder of administration commands, first in PATH of `xmpplab exec`
OUTPUT = "output.log"  # standard output and error of its process

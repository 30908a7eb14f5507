"""Names of files in a server's folder that are the same for every software."""

from __future__ import annotations

FEED = "feed.jsonl"  # what it saw, one JSON object a line
READY = "ready.jsonl"  # {"probed": "<domain>"} for each neighbour that answered its ping
LOG = "server.log"
OUTPUT = "output.log"  # standard output and error of its process

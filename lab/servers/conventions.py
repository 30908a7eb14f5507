"""What every server keeps to, whatever its software: names of files in its folder, and ports on its address."""

from __future__ import annotations

FEED = "feed.jsonl"  # what it saw, one JSON object a line
READY = "ready.jsonl"  # {"probed": "<domain>"} for each neighbour that answered its ping
LOG = "server.log"
OUTPUT = "output.log"  # standard output and error of its process

C2S_PORT = 5222
C2S_TLS_PORT = 5223  # direct TLS (XEP-0368), for those who name it: no SRV record announces it
S2S_PORT = 5269
HTTPS_PORT = 5281

"""How much a topology may be: more could not run on any machine of today."""

from __future__ import annotations

MAX_BYTES = 1 << 20  # of a file; 1000 servers with 20,000 links take half of it
MAX_SERVERS = 1000  # a lab's network has addresses for 2816
MAX_LINKS = 22_000  # two relay ports each, and there are 65,535 ports

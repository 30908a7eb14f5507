"""Changes of presence, which the server broadcasts to all contacts (RFC 6121 section 4.4)."""

from __future__ import annotations

from lab.load.workload.actions import KindCode, draw_without_receiver

KIND = KindCode(draw_without_receiver)

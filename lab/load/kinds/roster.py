"""Requests for the roster, and changes of it (RFC 6121 section 2)."""

from __future__ import annotations

from lab.load.workload.actions import KindCode, draw_without_receiver

KIND = KindCode(draw_without_receiver)

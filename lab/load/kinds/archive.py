"""Requests for a page of the message archive (XEP-0313)."""

from __future__ import annotations

from lab.load.workload.actions import KindCode, draw_without_receiver

KIND = KindCode(draw_without_receiver)

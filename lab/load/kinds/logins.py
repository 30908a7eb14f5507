"""Logouts and logins."""

from __future__ import annotations

from lab.load.workload.actions import KindCode, draw_without_receiver

KIND = KindCode(draw_without_receiver)

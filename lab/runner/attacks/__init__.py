"""Attacks against encryptions and trust, each tried by people of its own, and judged: one table of all."""

"""Chance that can be had again: one stream of random numbers per seed and purpose, alike in every worker."""

from __future__ import annotations

from random import Random


def chance(*purpose: object) -> Random:
    """A generator that depends on nothing but its arguments."""
    return Random("/".join(map(str, purpose)))  # noqa: S311 - nobody's secrets hang on a load

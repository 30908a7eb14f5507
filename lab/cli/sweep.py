"""`xmpplab sweep`: remove what killed labs left behind."""

from __future__ import annotations


def sweep() -> None:
    """Remove what killed labs left behind. Labs that are up stay."""
    from lab.cli.edge import work
    from lab.lifecycle.cleanup import sweep as clean

    swept = work(clean())
    print("\n".join(f"removed {each}" for each in swept) or "nothing was left behind")

"""`xmpplab sweep`: remove what killed labs left behind."""

from __future__ import annotations


def sweep() -> None:
    """Remove what labs left behind whose owner was killed. Labs that are up stay."""
    from lab.cli.edge import work
    from lab.cli.show import plain_progress
    from lab.runtime.sweep import sweep as clean

    removed = work(clean(plain_progress))
    print("\n".join(f"removed {each}" for each in removed) or "nothing was left behind")

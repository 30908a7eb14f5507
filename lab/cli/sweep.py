"""`xmpplab sweep`: remove what is left of labs that were killed."""

from __future__ import annotations


def sweep() -> None:
    """Remove the remains of killed labs. Labs that are up are not changed."""
    from lab.cli.entry_point import run_async
    from lab.cli.output import print_text
    from lab.lifecycle.cleanup import sweep as clean

    swept = run_async(clean())
    print_text("\n".join(f"removed {each}" for each in swept) or "there was nothing to remove")

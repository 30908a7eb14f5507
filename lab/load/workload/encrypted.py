"""What a load whose messages are encrypted can be: checked before a lab is started, and by each worker."""

from __future__ import annotations

from lab.declarations.encryptions import ENCRYPTIONS, get_encryption
from lab.declarations.load_kind import MESSAGE
from lab.errors import UserError
from lab.load.model.spec import Load
from lab.load.workload.arrivals import parse_arrivals
from lab.load.workload.traffic import parse_traffic

#: Messages per second that no worker can send and receive: one with OMEMO costs it 4 ms.
MAX_RATE = 400


def check_encryption(load: Load, workers: int) -> None:
    """Check that a load can be carried with its encryption by so many workers. Raises UserError."""
    declared = get_encryption(load.encryption, (name for name, one in ENCRYPTIONS.items() if one.loads))
    if not declared.end_to_end:
        return
    if kinds := parse_traffic(load.traffic).actions - {MESSAGE}:
        raise UserError(
            f"an encrypted load has messages between two users only: {load.traffic!r} has {', '.join(sorted(kinds))}"
        )
    if load.security != "starttls":
        raise UserError(f"clients of an encrypted load support STARTTLS only, not {load.security!r}: remove --security")
    wanted, most = parse_arrivals(load.arrivals).find_peak(load.seconds), workers * MAX_RATE
    if wanted > most:
        raise UserError(
            f"{wanted:.0f} encrypted messages per second are more than {workers} workers can send ({most}/s): "
            f"use {-(-int(wanted) // MAX_RATE)} workers on as many cores, or at most {most}/s"
        )

"""Loads by name: what people do all day, and as much as goes through.

    realistic   each person, per hour: 6 messages to people they know (one each ten minutes), 2 changes of presence,
                one login, a look at the roster and at the archive; Poisson, the rate follows from the number of people
    saturate    messages over the links (one's own server without links) as fast as they are delivered: the closed
                model without thinking; it finds what goes through, and its delays say nothing about a steady load

The figures of `realistic` are round ones that the lab chose; they are meant for comparing, not for planning capacity.
"""

from __future__ import annotations

from dataclasses import replace

from lab.errors import UserError
from lab.load.model.spec import Load

#: Acts of a person per hour, by kind of traffic.
HOURLY = {"social:degree=8": 6, "presence:degree=8": 2, "logins": 1, "roster": 1, "archive": 1}

#: Names that may stand for traffic.
MIXES = {
    "realistic": "+".join(f"{times}*{kind}" for kind, times in HOURLY.items()),
    "saturate": "neighbours",
}


def apply(name: str, load: Load) -> Load:
    """The load with a profile's traffic and arrivals. Raises UserError for a name that is none."""
    if name == "realistic":
        return replace(load, traffic=name, arrivals=f"poisson:{load.users * sum(HOURLY.values())}/h")
    if name == "saturate":
        linked = any(endpoint.neighbours for endpoint in load.endpoints)
        return replace(load, traffic=name if linked else "local", arrivals="closed:think=0s")
    raise UserError(f"there is no profile {name!r}; there are {', '.join(MIXES)}")

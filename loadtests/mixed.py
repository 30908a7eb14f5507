"""Mixed: what people do, all at once: messages, rooms, presence, logins, rosters and archive.

Every fourth person goes and comes, and is left alone by the others: who is away hears nothing of rooms and presences.
"""

from lab.locust import XmppUser


class Mixed(XmppUser):
    traffic = "6*social:degree=8+2*room:size=20+2*presence:degree=8+1*logins+1*roster+1*archive"
    arrivals = "poisson:50/s"

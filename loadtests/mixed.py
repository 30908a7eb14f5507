"""Mixed: messages, rooms, presence, logins, rosters and archive at the same time.

Every fourth user logs out and in, and takes no part in the rest: who is offline receives neither messages of rooms nor
presences.
"""

from lab.locust import XmppUser


class Mixed(XmppUser):
    traffic = "6*social:degree=8+2*room:size=20+2*presence:degree=8+1*logins+1*roster+1*archive"
    arrivals = "poisson:50/s"

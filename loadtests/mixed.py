"""Mixed: what people do while they are online, all at once: messages, rooms, presence, rosters and archive.

No logins: who logs out misses answers that are on their way and what is said in the room, which would count as lost.
"""

from lab.locust import XmppUser


class Mixed(XmppUser):
    traffic = "6*social:degree=8+2*room:size=20+2*presence:degree=8+1*roster+1*archive"
    arrivals = "poisson:50/s"

"""Rooms: groups of twenty users from all servers (XEP-0045); each message goes to everybody in the room."""

from lab.locust import XmppUser


class Rooms(XmppUser):
    traffic = "room:size=20"
    arrivals = "20/s"

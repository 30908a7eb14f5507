"""Rooms: groups of twenty people from all servers; each message comes to everybody in the room."""

from lab.locust import XmppUser


class Rooms(XmppUser):
    traffic = "room:size=20"
    arrivals = "20/s"

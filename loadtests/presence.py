"""Presence: bursts of presence changes, sent to the contacts on the user's own server and on linked ones."""

from lab.locust import XmppUser


class Presence(XmppUser):
    traffic = "presence:degree=8"
    arrivals = "spike:5/s..50/s,at=5s,for=5s"

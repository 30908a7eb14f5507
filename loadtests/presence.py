"""Presence: storms of people who go away and come back, told to those who know them on their own and linked servers."""

from lab.locust import XmppUser


class Presence(XmppUser):
    traffic = "presence:degree=8"
    arrivals = "spike:5/s..50/s,at=5s,for=5s"

"""Chat: people write to those they know, on their own server and along the links, at random times."""

from lab.locust import XmppUser


class Chat(XmppUser):
    traffic = "social:degree=8"
    arrivals = "poisson:100/s"

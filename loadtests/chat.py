"""Chat: users write to their contacts, on their own server and on linked ones, at random times."""

from lab.locust import XmppUser


class Chat(XmppUser):
    traffic = "social:degree=8"
    arrivals = "poisson:100/s"

"""Logins: users log out and in, faster and faster: TLS, SASL, resource binding, roster and presence."""

from lab.locust import XmppUser


class Logins(XmppUser):
    traffic = "logins"
    arrivals = "step:5/s+5/s,each=10s"

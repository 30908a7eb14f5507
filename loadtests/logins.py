"""Logins: people leave and come back: TLS, SASL, binding, roster and presence, ever faster."""

from lab.locust import XmppUser


class Logins(XmppUser):
    traffic = "logins"
    arrivals = "step:5/s+5/s,each=10s"

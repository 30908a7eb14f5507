"""Archive: users query a page of their archive (XEP-0313) while messages are being archived."""

from lab.locust import XmppUser


class Archive(XmppUser):
    traffic = "4*archive+1*social:degree=8"
    arrivals = "poisson:50/s"

"""OMEMO: encrypted messages across the links (XEP-0384); keys and sessions are made before the clock starts."""

from lab.locust import XmppUser


class Omemo(XmppUser):
    traffic = "neighbours"
    encryption = "omemo"
    arrivals = "5/s"

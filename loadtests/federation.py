"""Federation: every message crosses a link, at even intervals: the servers' federation and nothing else."""

from lab.locust import XmppUser


class Federation(XmppUser):
    traffic = "neighbours"
    arrivals = "100/s"

"""Federation: every message crosses a link, evenly spaced: what servers do for each other, and nothing else."""

from lab.locust import XmppUser


class Federation(XmppUser):
    traffic = "neighbours"
    arrivals = "100/s"

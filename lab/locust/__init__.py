"""Loads as Locust files: `from lab.locust import XmppUser`; see docs/locust.md.

Importing this package imports Locust, which patches the interpreter for gevent. No other package of the lab imports it.
"""

from lab.locust import hooks as _hooks  # noqa: F401 - adds the listeners to Locust's events
from lab.locust.user import XmppUser

__all__ = ["XmppUser"]

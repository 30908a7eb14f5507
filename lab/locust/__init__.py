"""Loads as Locust files: `from lab.locust import XmppUser`; see docs/locust.md.

Importing this imports Locust, which patches the interpreter for gevent. Nothing else of the lab imports it.
"""

from lab.locust import life as _life  # noqa: F401 - sets the hooks
from lab.locust.user import XmppUser

__all__ = ["XmppUser"]

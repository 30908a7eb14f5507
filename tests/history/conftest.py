"""A busy machine is slow now and then: how long one example takes says nothing about the code."""

from hypothesis import settings

settings.register_profile("xmpplab", deadline=None, max_examples=50)
settings.load_profile("xmpplab")

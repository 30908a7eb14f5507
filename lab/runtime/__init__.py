"""Runtimes carry plans out, with containers or with processes. Both are a `protocol.Runtime`."""

"""Live tests here need the tree of unpacked packages that those of lab/servers need."""

from tests.servers.conftest import tree

__all__ = ["tree"]

"""Labs for the programs of others: those that conversations with them have."""

from tests.programs.conftest import pair_of

__all__ = ["pair_of"]

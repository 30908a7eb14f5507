"""The rules of the house, held by tests: what is imported where, what is documented, what must not be in the tree."""

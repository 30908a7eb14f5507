"""For tests: the pytest plugin and the classes for testcontainers."""

"""One process of users: it logs them in, sends what is due, and counts what is received."""

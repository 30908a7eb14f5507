"""Many workers as one load: accounts, one start, commands, and one result of all."""

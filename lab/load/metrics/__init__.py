"""What is counted and metered during a load, and the folder in which it is written."""

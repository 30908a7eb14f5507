"""Processes, subprocesses, locks, files and sockets of this machine."""

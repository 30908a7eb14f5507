"""Simulated users: agents, the devices in them, and scripted servers."""

"""Servers from Debian packages, unpacked into a private cache; nothing is installed into the system."""

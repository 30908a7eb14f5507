"""What people take home from a lab: files of a real server, and Compose projects.

Pure: data in, files out. Nothing of a lab is in them but a module for the policy: no feed, no address, no secret.
"""

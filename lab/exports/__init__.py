"""What people take home from a lab: files of a real server.

Pure: data in, files out. Nothing of a lab is in them: none of its modules, no feed, no address, no secret.
"""

"""XMPP streams and stanzas as the lab's clients use them; devices and encryption stand on it."""

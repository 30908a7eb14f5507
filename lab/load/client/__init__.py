"""One user's XMPP stream to a server: connection, TLS, SASL, stream management, stanzas."""

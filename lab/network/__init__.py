"""The lab's service: name server, relays, certificates, feeds of the servers, control socket."""

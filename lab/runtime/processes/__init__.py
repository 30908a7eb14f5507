"""The runtime `processes`: the service and the servers of a lab as processes of this user, on loopback addresses."""

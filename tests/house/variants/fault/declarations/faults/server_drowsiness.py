"""A server is stopped for a while and goes on afterwards."""

from lab.declarations.fault import FaultDeclaration, FaultField, read_server_name
from lab.declarations.units import parse_duration

DECLARATION = FaultDeclaration(
    name="drowse",
    about="A server does nothing.",
    fields=(
        FaultField(name="server", about="The server.", read=read_server_name),
        FaultField(name="at_least", about="How long.", read=parse_duration, unit="s", default="1s"),
    ),
)

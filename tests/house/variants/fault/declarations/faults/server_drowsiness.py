"""A server is stopped for a while and goes on afterwards."""

from lab.declarations.fault import FaultDeclaration, FaultField, server_name
from lab.declarations.units import seconds

DECLARATION = FaultDeclaration(
    name="drowse",
    about="A server does nothing.",
    fields=(
        FaultField(name="server", about="The server.", read=server_name),
        FaultField(name="at_least", about="How long.", read=seconds, unit="s", default="1s"),
    ),
)

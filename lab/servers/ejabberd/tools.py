"""`ejabberdctl`, as `xmpplab exec` finds it.

The program of the package talks to a node that has a name. The lab's have none, so that nothing listens but what is
configured; this one asks the lab's module in the server to run the command, over the socket in its folder.
"""

from __future__ import annotations

from lab.declarations.servers.ejabberd import MANIFEST
from lab.servers.conventions import TOOLS
from lab.servers.software import File

NAME = "ejabberdctl"

_CLIENT = """
Arguments = [[unicode:characters_to_binary(Each), 0] || Each <- init:get_plain_arguments()],
Body = iolist_to_binary(Arguments),
Path = filename:join(os:getenv("HOME"), "{socket}"),
Fail = fun(Text) -> io:format(standard_error, "ejabberdctl: ~ts~n", [Text]), halt(1) end,
Receive = fun(Again, Socket, Received) ->
    case gen_tcp:recv(Socket, 0) of
        {{ok, More}} -> Again(Again, Socket, [Received, More]);
        {{error, _}} -> iolist_to_binary(Received)
    end
end,
case gen_tcp:connect({{local, Path}}, 0, [binary, {{active, false}}]) of
    {{error, Reason}} ->
        Fail(io_lib:format("the server does not answer on ~ts: ~ts", [Path, inet:format_error(Reason)]));
    {{ok, Socket}} ->
        Length = integer_to_list(byte_size(Body)),
        ok = gen_tcp:send(Socket, ["POST /ctl HTTP/1.1\\r\\nContent-Length: ", Length, "\\r\\n\\r\\n", Body]),
        case binary:split(Receive(Receive, Socket, []), <<"\\r\\n\\r\\n">>) of
            [<<"HTTP/1.1 200", _/binary>>, Answer] ->
                [Code, Output] = binary:split(Answer, <<10>>),
                ok = io:setopts([{{encoding, unicode}}]),
                ok = io:put_chars(Output),
                halt(binary_to_integer(Code));
            Other -> Fail(["the server refuses: ", lists:last(Other)])
        end
end.
"""


def ejabberdctl(erlang: str) -> File:
    """The command; `erlang` starts Erlang with the arguments that follow, with the server's environment."""
    client = _CLIENT.format(socket=MANIFEST.socket).strip()
    assert "'" not in client  # it stands in quotes of the shell
    script = f"#!/bin/sh\nexec {erlang} -noinput -boot start_clean -eval '{client}' -extra \"$@\"\n"
    return File(f"{TOOLS}/{NAME}", script, 0o700)

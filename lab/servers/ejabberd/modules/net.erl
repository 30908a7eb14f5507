%% Addresses of names, asked of the lab's name server. Kernel's module of this name, which this one takes the place of (its
%% folder comes first on the code path), asks the C library, and that the resolver of the machine: a lab looks up nothing
%% outside. Erlang's own resolver asks whom inetrc names. What p1_xmpp, which needs addresses, does not use is left out.
-module(net).
-export([getaddrinfo/1, getaddrinfo/2, gethostname/0, getifaddrs/0]).

getaddrinfo(Host) -> getaddrinfo(Host, undefined).

getaddrinfo(Host, Service) ->
    case inet:getaddrs(to_list(Host), inet) of
        {ok, Addresses} -> {ok, [info(Address, port(Service)) || Address <- lists:usort(Addresses)]};
        {error, Reason} -> {error, Reason}
    end.

info(Address, Port) ->
    #{family => inet, socktype => stream, protocol => tcp,
      addr => #{family => inet, addr => Address, port => Port}}.

port(undefined) -> 0;
port(Service) -> list_to_integer(Service).

to_list(Host) when is_binary(Host) -> binary_to_list(Host);
to_list(Host) -> Host.

gethostname() -> inet:gethostname().

getifaddrs() -> {ok, []}.

%% Which servers this one may federate with: an allow list of host names, for the domain and each of its components, and
%% domains that are refused while it runs (refuse/2, which needs no started module).
%%
%% Options: allow (list), outbound (false: only streams that come in are refused, so that a sender meets the
%% network's own error). A sender here gets `forbidden` at once. A stream from elsewhere is closed with
%% `policy-violation` as soon as it says anything: ejabberd's own `s2s_access` lets it authenticate and then drops
%% what it carries, so that its sender would wait for ever.
-module(mod_lab_policy).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([allow_host/3, said_something/3, authenticated/3]).
-export([refuse/2, allow_refused/3, said_refused/3, looked_at/2]).
-include("xmpp.hrl").
-include_lib("ejabberd/include/logger.hrl").

start(Host, Opts) ->
    Outbound = gen_mod:get_opt(outbound, Opts),
    persistent_term:put({?MODULE, Host}, {maps:from_keys(gen_mod:get_opt(allow, Opts), true), Outbound}),
    lab_hooks:add(Host, ?MODULE, hooks(Outbound)).

stop(Host) ->
    {_, Outbound} = persistent_term:get({?MODULE, Host}),
    lab_hooks:delete(Host, ?MODULE, hooks(Outbound)).

hooks(Outbound) ->
    [{s2s_in_handle_recv, said_something, 10}, {s2s_in_auth_result, authenticated, 10} |
     [{s2s_allow_host, allow_host, 10} || Outbound]].

%% Refuses these domains and all below them, and closes the streams with them that are open.
refuse(Host, Domains) ->
    persistent_term:put({?MODULE, refused, Host}, Domains),
    lab_hooks:add(Host, ?MODULE, [{s2s_allow_host, allow_refused, 5}, {s2s_in_handle_recv, said_refused, 5},
                                  {s2s_in_handle_info, looked_at, 5}]),
    [ejabberd_s2s_out:stop_async(Pid) || {Mine, Other} <- ejabberd_s2s:dirty_get_connections(),
                                         ejabberd_router:host_of_route(Mine) == Host, refused(Host, Other),
                                         Pid <- ejabberd_s2s:get_connections_pids({Mine, Other})],
    [Pid ! ?MODULE || {_, Pid, _, _} <- supervisor:which_children(ejabberd_s2s_in_sup), is_pid(Pid)],
    ok.

refused(Host, Server) ->
    lists:any(fun(One) ->
        Server == One orelse string:find(Server, <<".", One/binary>>, trailing) == <<".", One/binary>>
    end, persistent_term:get({?MODULE, refused, Host}, [])).

allow_refused(Acc, Host, Server) ->
    case refused(Host, Server) of
        true -> {stop, deny};
        false -> Acc
    end.

said_refused(#{server_host := Host, remote_server := Server} = State, _El, _Pkt) ->
    case refused(Host, Server) of
        true -> close(State, Server);
        false -> State
    end;
said_refused(State, _El, _Pkt) -> State.

%% A stream looks at whom it is with when it is told to.
looked_at(#{server_host := Host, remote_server := Server} = State, ?MODULE) ->
    case refused(Host, Server) of
        true -> close(State, Server);
        false -> {stop, State}
    end;
looked_at(State, ?MODULE) -> {stop, State};
looked_at(State, _) -> State.

reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(allow) -> econf:list(econf:domain());
mod_opt_type(outbound) -> econf:bool().
mod_options(_Host) -> [{allow, []}, {outbound, true}].
mod_doc() -> #{}.

allowed(Host, Server) ->
    {Allowed, _} = persistent_term:get({?MODULE, Host}),
    maps:is_key(Server, Allowed).

allow_host(Acc, Host, Server) ->
    case allowed(Host, Server) of
        true -> Acc;
        false -> {stop, deny}
    end.

said_something(#{server_host := Host, remote_server := Server, stream_authenticated := false} = State, _El, _Pkt) ->
    checked(State, Host, Server);
said_something(State, _El, _Pkt) -> State.

%% A stream may name its sender only late, or carry a second domain by dialback (XEP-0220).
authenticated(#{server_host := Host} = State, true, Server) -> checked(State, Host, Server);
authenticated(State, _, _) -> State.

checked(State, Host, Server) ->
    case allowed(Host, Server) of
        true -> State;
        false -> close(State, Server)
    end.

close(State, Server) ->
    Text = <<"lab policy: no federation with ", Server/binary>>,
    ?INFO_MSG("~ts", [Text]),
    {stop, ejabberd_s2s_in:send(State, xmpp:serr_policy_violation(Text, <<"en">>))}.

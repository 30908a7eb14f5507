%% Accounts and rosters in bulk, as records that ejabberd itself would write (SCRAM, no password known here).
%%
%% Options: initial_file (read before the server says that it has started; may be missing), socket (a Unix socket,
%% 0600, that takes POST /accounts over HTTP; POST /flush writes down what mnesia keeps in memory). Both are JSON:
%%   {"hash": "sha", "iterations": 4096, "salt": base64, "stored_key": base64, "server_key": base64, "users": ["user1", ...]}
%% with the keys of SCRAM with that hash, one set for all. POST /rosters takes {"user1": ["user2@b.test", ...], ...}: whole
%% rosters of people who are not online, each contact subscribed both ways (RFC 6121 section 3). POST /forget takes
%% ["user1", ...] and empties their archives. POST /registration takes "open" or "closed" (XEP-0077), POST /delete
%% ["user1", ...], POST /refuse ["b.test", ...]: the domains that are refused from then on. POST /ping takes
%% {"to": domain, "within": ms}, pings (XEP-0199) and answers with {"at": epoch, "seconds": float, "condition": "" or that
%% of an error or "no-answer", "text": that of an error}. POST /ctl is for
%% ejabberdctl (lab_ctl): it answers with the exit code, a line end, and the output. ejabberd's own listener is not
%% used: it gives a Unix socket its name only after five seconds.
-module(mod_lab_accounts).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([started/0]).
-include("scram.hrl").
-include("xmpp.hrl").
-include_lib("ejabberd/include/ejabberd_auth.hrl").
-include_lib("ejabberd/include/mod_roster.hrl").
-include_lib("ejabberd/include/logger.hrl").

-define(BEFORE_PROBE, 50).
-define(PATIENCE, 10000). % ms for each piece of a request
-define(WAITING, 1024). % connections: who finds no place among those that wait is not told to wait (unix(7), EAGAIN)

start(Host, Opts) ->
    persistent_term:put(?MODULE, {Host, gen_mod:get_opt(initial_file, Opts), gen_mod:get_opt(socket, Opts)}),
    lab_hooks:add(global, ?MODULE, hooks()).

stop(_Host) -> lab_hooks:delete(global, ?MODULE, hooks()).
hooks() -> [{ejabberd_started, started, ?BEFORE_PROBE}].
reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(_) -> econf:binary().
mod_options(_Host) -> [{initial_file, <<"accounts.json">>}, {socket, <<"api.sock">>}].
mod_doc() -> #{}.

started() ->
    {Host, Initial, Socket} = persistent_term:get(?MODULE),
    case file:read_file(Initial) of
        {ok, Text} -> store(Host, Text);
        {error, enoent} -> ok
    end,
    listen(Host, Socket).

store(Host, Text) ->
    #{<<"hash">> := Hash, <<"iterations">> := Iterations, <<"salt">> := Salt, <<"stored_key">> := Stored, <<"server_key">> := Server,
      <<"users">> := Users} = lab_json:decode(Text),
    Keys = #scram{storedkey = Stored, serverkey = Server, salt = Salt, iterationcount = Iterations,
                  hash = binary_to_existing_atom(Hash)},
    {atomic, ok} = mnesia:transaction(fun() ->
        lists:foreach(fun(User) -> mnesia:write(#passwd{us = {jid:nodeprep(User), Host}, password = Keys}) end, Users)
    end),
    ok.

rosters(Host, Text) ->
    %% Dirty: nobody reads them yet, and one transaction of thousands of records takes minutes.
    ok = mnesia:async_dirty(fun() ->
        maps:foreach(fun(User, Contacts) -> roster({jid:nodeprep(User), Host}, Contacts) end, lab_json:decode(Text))
    end),
    [ets_cache:clear(Cache) || Cache <- [roster_cache, roster_item_cache, roster_version_cache],
                               ets:whereis(Cache) =/= undefined],
    ok.

roster({User, Host} = Us, Contacts) ->
    [mnesia:delete_object(Item) || Item <- mnesia:index_read(roster, Us, #roster.us)],
    lists:foreach(fun(Contact) ->
        Jid = jid:tolower(jid:remove_resource(jid:decode(Contact))),
        mnesia:write(#roster{usj = {User, Host, Jid}, us = Us, jid = Jid, subscription = both, ask = none})
    end, Contacts).

forget(Host, Text) ->
    Users = [User || User <- lab_json:decode(Text), lists:member(archive_msg, mnesia:system_info(tables))], % mod_mam has it
    lists:foreach(fun(User) -> ok = mnesia:dirty_delete(archive_msg, {jid:nodeprep(User), Host}) end, Users).

registration(Host, Text) ->
    Access = case lab_json:decode(Text) of <<"open">> -> all; <<"closed">> -> none end,
    gen_mod:update_module(Host, mod_register, (gen_mod:get_module_opts(Host, mod_register))#{access => Access}).

delete(Host, Text) ->
    lists:foreach(fun(Name) ->
        User = jid:nodeprep(Name),
        true = ejabberd_auth:user_exists(User, Host),
        ok = ejabberd_auth:remove_user(User, Host)
    end, lab_json:decode(Text)).

listen(Host, Path) ->
    Self = self(),
    {Pid, Watch} = spawn_monitor(fun() ->
        _ = file:delete(Path),
        {ok, Socket} = gen_tcp:listen(0, [{ifaddr, {local, Path}}, binary, {packet, http_bin}, {active, false},
                                          {backlog, ?WAITING}]),
        ok = file:change_mode(Path, 8#600),
        Self ! {self(), listening},
        accept(Host, Socket)
    end),
    receive
        {Pid, listening} -> demonitor(Watch, [flush]), ok;
        {'DOWN', Watch, process, Pid, Reason} -> error({cannot_listen, Path, Reason})
    end.

accept(Host, Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    try request(Socket) of
        {'POST', Path, _} = Request when Path =:= <<"/ctl">>; Path =:= <<"/ping">> ->  % may take long
            spawn(fun() -> serve(Host, Socket, Request) end);
        Request -> serve(Host, Socket, Request)
    catch Class:Reason -> send(Socket, refusal(Class, Reason))
    end,
    accept(Host, Listener).

serve(Host, Socket, Request) ->
    send(Socket, try answer(Host, Request) catch Class:Reason -> refusal(Class, Reason) end).

refusal(Class, Reason) ->
    ?ERROR_MSG("lab accounts: ~p ~p", [Class, Reason]),
    {<<"400 Bad Request">>, iolist_to_binary(io_lib:format("~p", [Reason]))}.

send(Socket, {Status, Text}) ->
    _ = gen_tcp:send(Socket, [<<"HTTP/1.1 ">>, Status, <<"\r\nContent-Type: text/plain\r\nConnection: close\r\n">>,
                              <<"Content-Length: ">>, integer_to_binary(byte_size(Text)), <<"\r\n\r\n">>, Text]),
    gen_tcp:close(Socket).

request(Socket) ->
    {ok, {http_request, Method, {abs_path, Path}, _}} = gen_tcp:recv(Socket, 0, ?PATIENCE),
    Length = content_length(Socket, 0),
    ok = inet:setopts(Socket, [{packet, raw}]),
    {ok, Body} = case Length of 0 -> {ok, <<>>}; _ -> gen_tcp:recv(Socket, Length, ?PATIENCE) end,
    {Method, Path, Body}.

content_length(Socket, Length) ->
    case gen_tcp:recv(Socket, 0, ?PATIENCE) of
        {ok, {http_header, _, 'Content-Length', _, Value}} -> content_length(Socket, binary_to_integer(Value));
        {ok, {http_header, _, _, _, _}} -> content_length(Socket, Length);
        {ok, http_eoh} -> Length
    end.

answer(Host, {'POST', <<"/accounts">>, Body}) -> ok = store(Host, Body), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/rosters">>, Body}) -> ok = rosters(Host, Body), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/forget">>, Body}) -> ok = forget(Host, Body), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/registration">>, Body}) -> ok = registration(Host, Body), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/delete">>, Body}) -> ok = delete(Host, Body), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/refuse">>, Body}) ->
    ok = mod_lab_policy:refuse(Host, lab_json:decode(Body)), {<<"200 OK">>, <<"ok\n">>};
answer(_Host, {'POST', <<"/flush">>, _}) -> flush(), {<<"200 OK">>, <<"ok\n">>};
answer(Host, {'POST', <<"/ping">>, Body}) -> {<<"200 OK">>, iolist_to_binary(ping(Host, Body))};
answer(_Host, {'POST', <<"/ctl">>, Body}) ->
    {Code, Output} = lab_ctl:run(Body),
    {<<"200 OK">>, iolist_to_binary([integer_to_binary(Code), "\n", Output])};
answer(_Host, _) -> {<<"404 Not Found">>, <<"unknown\n">>}.

ping(Host, Text) ->
    #{<<"to">> := Domain, <<"within">> := Within} = lab_json:decode(Text),
    Began = os:system_time(microsecond),
    Ping = #iq{type = get, from = jid:make(Host), to = jid:make(Domain), sub_els = [#ping{}]},
    ejabberd_router:route_iq(Ping, pong, self(), Within),
    {Condition, Reason} = receive {iq_reply, Reply, pong} -> outcome(Reply) end,
    lab_json:encode(#{at => Began / 1.0e6, seconds => (os:system_time(microsecond) - Began) / 1.0e6,
                      condition => Condition, text => Reason}).

outcome(#iq{type = result}) -> {<<>>, <<>>};
outcome(timeout) -> {<<"no-answer">>, <<>>};
outcome(#iq{type = error} = Reply) ->
    #stanza_error{reason = Reason, text = Text} = xmpp:get_error(Reply),
    {condition(Reason), xmpp:get_text(Text)}.

condition(#gone{}) -> <<"gone">>;
condition(#redirect{}) -> <<"redirect">>;
condition(Reason) -> atom_to_binary(Reason).

%% The log into the tables, then the tables (archives are dets files, which wait three seconds) into their files.
flush() ->
    dumped = mnesia:dump_log(),
    lists:foreach(fun(Table) -> ok = dets:sync(Table) end, dets:all()).

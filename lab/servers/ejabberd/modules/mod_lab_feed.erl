%% Tells every stanza that this server receives or sends on a stream, as JSON lines; and of each stream that it was opened
%% and closed, and warnings and errors of its log.
%%
%% Options: mode ("full": whole stanzas; "meta": all but what is inside), file, encrypted (children of a stanza that show
%% an encryption, "{namespace}name"), encrypted_bodies (how bodies begin that are encrypted, each behind "namespace "). A
%% line is
%%   {"at", "direction": "in|out", "stream": "c2s|s2s", "name", "type", "id", "from", "to", "size",
%%    "encryption": namespace of the child that shows it, "body": readable, "stanza": xml or null,
%%    "peer": the domain or full JID authenticated at the stream's other end}
%% or {"at", "event": "stream-opened|stream-closed", "stream", "direction", "peer", "id", "tls", "authentication"}, when
%%     opened also {"address": the IP address that an incoming one came from}, when closed also {"condition",
%%     "by": "server|peer|", "text"}
%% or {"at", "event": "logged", "level": "warning|error", "text"}
%% or {"at", "event": "started"}, the first of each start
%% It only looks: each hook returns what it was given, with a note of its own in a stream's state. The file belongs to one
%% process, so that lines stay whole.
-module(mod_lab_feed).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([c2s_in/1, c2s_out/1, s2s_in/1, s2s_out/1]).
-export([c2s_authenticated/3, c2s_opened/1, c2s_closed/2, s2s_in_authenticated/3, s2s_in_closed/2,
         s2s_out_authenticated/2, s2s_out_closed/2, log/2]).
-include("xmpp.hrl").
-include_lib("ejabberd/include/logger.hrl").

-define(FIRST, 1).
-define(LAST, 99).
-define(ID, mod_lab_feed_id).
-define(LONGEST, 1000). % characters of a line of the log

start(Host, Opts) ->
    Writer = open(gen_mod:get_opt(file, Opts)),
    Bodies = [list_to_tuple(binary:split(Text, <<" ">>)) || Text <- gen_mod:get_opt(encrypted_bodies, Opts)],
    Encrypted = {gen_mod:get_opt(encrypted, Opts), Bodies},
    persistent_term:put({?MODULE, Host}, {Writer, gen_mod:get_opt(mode, Opts), Encrypted}),
    send(Writer, #{event => started}),
    _ = logger:add_handler(?MODULE, ?MODULE, #{level => warning, config => Writer}),
    lab_hooks:add(Host, ?MODULE, hooks()).

stop(Host) ->
    lab_hooks:delete(Host, ?MODULE, hooks()),
    _ = logger:remove_handler(?MODULE),
    {Writer, _, _} = persistent_term:get({?MODULE, Host}),
    Writer ! stop,
    ok.

hooks() ->
    [{user_send_packet, c2s_in, ?FIRST}, {user_receive_packet, c2s_out, ?LAST},
     {s2s_receive_packet, s2s_in, ?FIRST}, {s2s_send_packet, s2s_out, ?LAST},
     {c2s_auth_result, c2s_authenticated, ?FIRST}, {c2s_session_opened, c2s_opened, ?FIRST},
     {c2s_session_resumed, c2s_opened, ?FIRST}, {c2s_closed, c2s_closed, ?FIRST},
     {s2s_in_auth_result, s2s_in_authenticated, ?FIRST}, {s2s_in_closed, s2s_in_closed, ?FIRST},
     {s2s_out_auth_result, s2s_out_authenticated, ?FIRST}, {s2s_out_closed, s2s_out_closed, ?FIRST}].

reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(mode) -> econf:enum([full, meta]);
mod_opt_type(file) -> econf:binary();
mod_opt_type(encrypted) -> econf:list(econf:binary());
mod_opt_type(encrypted_bodies) -> econf:list(econf:binary()).
mod_options(_Host) -> [{mode, full}, {file, <<"feed.jsonl">>}, {encrypted, []}, {encrypted_bodies, []}].
mod_doc() -> #{}.

c2s_in({Packet, State} = Acc) -> tell(in, c2s, Packet, client(State)), Acc.
c2s_out({Packet, State} = Acc) -> tell(out, c2s, Packet, client(State)), Acc.
s2s_in({Packet, State} = Acc) -> tell(in, s2s, Packet, maps:get(remote_server, State, null)), Acc.
s2s_out(Packet) -> tell(out, s2s, Packet, domain(Packet)), Packet.

%% The mechanism is known only while it is used: it stays in the stream's state under a name of ours.
c2s_authenticated(State, true, _User) -> State#{?MODULE => maps:get(sasl_mech, State, <<>>)};
c2s_authenticated(State, _Failure, _User) -> State.

c2s_opened(#{lserver := Host} = State) -> opened(Host, c2s, in, client(State), State), State.

c2s_closed(#{lserver := Host} = State, Reason) -> closed(Host, c2s, in, client(State), State, Reason), State.

s2s_in_authenticated(#{server_host := Host} = State, true, Peer) ->
    Known = State#{?MODULE => maps:get(sasl_mech, State, <<"dialback">>), ?ID => id(in, State)},
    opened(Host, s2s, in, Peer, Known),
    Known;
s2s_in_authenticated(State, _Failure, _Peer) -> State.

s2s_in_closed(#{server_host := Host} = State, Reason) ->
    closed(Host, s2s, in, maps:get(remote_server, State, <<>>), State, Reason),
    State.

%% SASL alone restarts the stream, and between servers it is EXTERNAL.
s2s_out_authenticated(#{server_host := Host, remote_server := Peer, stream_state := Step} = State, true) ->
    Mechanism = case Step of wait_for_stream -> <<"EXTERNAL">>; _ -> <<"dialback">> end,
    Known = State#{?MODULE => Mechanism, ?ID => id(out, State)},
    opened(Host, s2s, out, Peer, Known),
    Known;
s2s_out_authenticated(State, _Failure) -> State.

s2s_out_closed(#{server_host := Host, remote_server := Peer} = State, Reason) ->
    closed(Host, s2s, out, Peer, State, Reason),
    State.

client(#{jid := Jid}) -> jid:encode(Jid);
client(_) -> <<>>.

opened(Host, Stream, Direction, Peer, State) ->
    write(Host, (stream(Stream, Direction, Peer, State))#{event => 'stream-opened',
                                                          address => address(Direction, State)}).

address(in, #{ip := {Address, _Port}}) -> list_to_binary(inet:ntoa(Address));
address(_, _) -> <<>>.

closed(Host, Stream, Direction, Peer, State, Reason) ->
    {Condition, By, Text} = reason(Reason),
    write(Host, (stream(Stream, Direction, Peer, State))#{event => 'stream-closed', condition => Condition, by => By,
                                                          text => Text}).

stream(Stream, Direction, Peer, State) ->
    #{stream => Stream, direction => Direction, peer => Peer,
      id => id(Direction, State),
      tls => case State of #{stream_encrypted := true} -> <<"TLS">>; _ -> <<>> end,
      authentication => maps:get(?MODULE, State, <<>>)}.

%% Of a stream between servers it is that of the header before SASL, which restarts the stream: then it gets another one.
id(_, #{?ID := Id}) -> Id;
id(in, State) -> maps:get(stream_id, State, <<>>);
id(out, State) -> maps:get(stream_remote_id, State, <<>>).

reason({stream, {Direction, #stream_error{reason = Condition} = Error}}) ->
    {if is_atom(Condition) -> Condition; true -> 'see-other-host' end,
     case Direction of out -> server; in -> peer end,
     try xmpp:get_text(Error#stream_error.text) catch _:_ -> <<>> end};
reason({stream, reset}) -> {<<>>, <<>>, <<>>};
reason(Reason) -> {<<>>, <<>>, iolist_to_binary(xmpp_stream_out:format_error(Reason))}.

write(Host, Line) ->
    {Writer, _, _} = persistent_term:get({?MODULE, Host}),
    send(Writer, Line).

send(Writer, Line) ->
    Writer ! {line, lab_json:encode(Line#{at => os:system_time(microsecond) / 1.0e6})},
    ok.

%% A handler of OTP's logger. What it cannot write it must not log: that would never end.
log(#{level := Level} = Event, #{config := Writer}) ->
    Format = #{template => [msg], single_line => true, chars_limit => ?LONGEST},
    Text = unicode:characters_to_binary(logger_formatter:format(Event, Format)),
    send(Writer, #{event => logged, text => Text, level => case Level of warning -> warning; _ -> error end}).

domain(drop) -> null;
domain(Packet) -> (xmpp:get_to(Packet))#jid.lserver.

tell(_Direction, _Stream, drop, _Peer) -> ok;
tell(Direction, Stream, Packet, Peer) ->
    {Writer, Mode, Encrypted} = persistent_term:get({?MODULE, local_host(Direction, Stream, Packet)}),
    Writer ! {line, lab_json:encode((line(Direction, Stream, Packet, Mode, Encrypted))#{peer => Peer})},
    ok.

%% The virtual host whose stream it is: rooms and uploads share that of their domain.
local_host(in, s2s, Packet) -> host_of(xmpp:get_to(Packet));
local_host(out, c2s, Packet) -> host_of(xmpp:get_to(Packet));
local_host(_, _, Packet) -> host_of(xmpp:get_from(Packet)).

host_of(#jid{lserver = Server}) -> ejabberd_router:host_of_route(Server).

line(Direction, Stream, Packet, Mode, Encrypted) ->
    #xmlel{name = Name, attrs = Attrs, children = Children} = El = xmpp:encode(Packet),
    Text = fxml:element_to_binary(El),
    Encryption = encryption(Name, Children, Encrypted),
    #{at => os:system_time(microsecond) / 1.0e6, direction => Direction, stream => Stream, name => Name,
      type => proplists:get_value(<<"type">>, Attrs, null), id => proplists:get_value(<<"id">>, Attrs, null),
      from => jid(xmpp:get_from(Packet)), to => jid(xmpp:get_to(Packet)), size => byte_size(Text),
      encryption => Encryption, body => Encryption =:= null andalso readable(Name, Children),
      stanza => case Mode of full -> Text; meta -> null end}.

jid(undefined) -> null;
jid(Jid) -> jid:encode(Jid).

encryption(Name, Children, {Elements, Bodies}) ->
    case shown_by_element(Children, Elements) of
        null when Name =:= <<"message">> -> shown_by_body(Children, Bodies);
        Found -> Found
    end.

shown_by_element([#xmlel{name = Name, attrs = Attrs} | Rest], Elements) ->
    Namespace = proplists:get_value(<<"xmlns">>, Attrs, <<>>),
    case lists:member(<<"{", Namespace/binary, "}", Name/binary>>, Elements) of
        true -> Namespace;
        false -> shown_by_element(Rest, Elements)
    end;
shown_by_element([_ | Rest], Elements) -> shown_by_element(Rest, Elements);
shown_by_element([], _) -> null.

shown_by_body([#xmlel{name = <<"body">>, children = Text} | Rest], Bodies) ->
    Body = fxml:get_cdata(Text),
    case [Namespace || {Namespace, Begins} <- Bodies, string:prefix(Body, Begins) =/= nomatch] of
        [Namespace | _] -> Namespace;
        [] -> shown_by_body(Rest, Bodies)
    end;
shown_by_body([_ | Rest], Bodies) -> shown_by_body(Rest, Bodies);
shown_by_body([], _) -> null.

readable(<<"message">>, Children) ->
    lists:any(fun(#xmlel{name = <<"body">>, children = Text}) -> fxml:get_cdata(Text) =/= <<>>;
                 (_) -> false
              end, Children);
readable(_, _) -> false.

open(Path) ->
    Self = self(),
    Writer = spawn(fun() ->
        {ok, File} = file:open(Path, [append, raw, binary]),
        ok = file:change_mode(Path, 8#600),
        Self ! {self(), open},
        write(File)
    end),
    Watch = monitor(process, Writer),
    receive
        {Writer, open} -> demonitor(Watch, [flush]), Writer;
        {'DOWN', Watch, process, Writer, Reason} -> error({cannot_write, Path, Reason})
    end.

write(File) ->
    receive
        {line, Line} -> ok = file:write(File, [Line, $\n]), write(File);
        stop -> file:close(File)
    end.

%% Tells every stanza that this server receives or sends on a stream, as JSON lines.
%%
%% Options: mode ("full": whole stanzas; "meta": all but what is inside), file, encrypted (children of a stanza that show
%% an encryption, "{namespace}name"; <encrypted/> does always). A line is
%%   {"at", "direction": "in|out", "stream": "c2s|s2s", "name", "type", "id", "from", "to", "size",
%%    "encryption": namespace of the child that shows it, "body": readable, "stanza": xml or null}
%% It only looks: each hook returns what it was given. The file belongs to one process, so that lines stay whole.
-module(mod_lab_feed).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([c2s_in/1, c2s_out/1, s2s_in/1, s2s_out/1]).
-include_lib("xmpp/include/xmpp.hrl").
-include_lib("ejabberd/include/logger.hrl").

-define(FIRST, 1).
-define(LAST, 99).

start(Host, Opts) ->
    persistent_term:put({?MODULE, Host}, {open(gen_mod:get_opt(file, Opts)), gen_mod:get_opt(mode, Opts),
                                          gen_mod:get_opt(encrypted, Opts)}),
    {ok, [{hook, user_send_packet, c2s_in, ?FIRST}, {hook, user_receive_packet, c2s_out, ?LAST},
          {hook, s2s_receive_packet, s2s_in, ?FIRST}, {hook, s2s_send_packet, s2s_out, ?LAST}]}.

stop(Host) ->
    {Writer, _, _} = persistent_term:get({?MODULE, Host}),
    Writer ! stop,
    ok.

reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(mode) -> econf:enum([full, meta]);
mod_opt_type(file) -> econf:binary();
mod_opt_type(encrypted) -> econf:list(econf:binary()).
mod_options(_Host) -> [{mode, full}, {file, <<"feed.jsonl">>}, {encrypted, []}].
mod_doc() -> #{}.

c2s_in({Packet, _} = Acc) -> tell(in, c2s, Packet), Acc.
c2s_out({Packet, _} = Acc) -> tell(out, c2s, Packet), Acc.
s2s_in({Packet, _} = Acc) -> tell(in, s2s, Packet), Acc.
s2s_out(Packet) -> tell(out, s2s, Packet), Packet.

tell(_Direction, _Stream, drop) -> ok;
tell(Direction, Stream, Packet) ->
    {Writer, Mode, Encrypted} = persistent_term:get({?MODULE, local_host(Direction, Stream, Packet)}),
    Writer ! {line, json:encode(line(Direction, Stream, Packet, Mode, Encrypted))},
    ok.

%% The virtual host whose stream it is: rooms and uploads share that of their domain.
local_host(in, s2s, Packet) -> host_of(xmpp:get_to(Packet));
local_host(out, c2s, Packet) -> host_of(xmpp:get_to(Packet));
local_host(_, _, Packet) -> host_of(xmpp:get_from(Packet)).

host_of(#jid{lserver = Server}) -> ejabberd_router:host_of_route(Server).

line(Direction, Stream, Packet, Mode, Encrypted) ->
    #xmlel{name = Name, attrs = Attrs, children = Children} = El = xmpp:encode(Packet),
    Text = fxml:element_to_binary(El),
    Encryption = encryption(Children, Encrypted),
    #{at => os:system_time(microsecond) / 1.0e6, direction => Direction, stream => Stream, name => Name,
      type => proplists:get_value(<<"type">>, Attrs, null), id => proplists:get_value(<<"id">>, Attrs, null),
      from => jid(xmpp:get_from(Packet)), to => jid(xmpp:get_to(Packet)), size => byte_size(Text),
      encryption => Encryption, body => Encryption =:= null andalso readable(Name, Children),
      stanza => case Mode of full -> Text; meta -> null end}.

jid(undefined) -> null;
jid(Jid) -> jid:encode(Jid).

encryption([#xmlel{name = Name, attrs = Attrs} | Rest], Encrypted) ->
    Namespace = proplists:get_value(<<"xmlns">>, Attrs, <<>>),
    Named = Name =:= <<"encrypted">> orelse lists:member(<<"{", Namespace/binary, "}", Name/binary>>, Encrypted),
    case Named andalso Namespace =/= <<>> of
        true -> Namespace;
        false -> encryption(Rest, Encrypted)
    end;
encryption([_ | Rest], Encrypted) -> encryption(Rest, Encrypted);
encryption([], _) -> null.

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

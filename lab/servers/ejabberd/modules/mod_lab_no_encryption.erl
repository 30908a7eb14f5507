%% Messages that are encrypted end to end are dropped, and nobody is told (`features: [-encrypted-messages]`): what people
%% here send as well as what is sent to them.
%%
%% Options: elements (children of a message that show an encryption, "{namespace}name"), bodies (how bodies begin that are
%% encrypted, each behind "namespace ").
-module(mod_lab_no_encryption).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([sent/1, routed/1]).
-include("xmpp.hrl").
-include_lib("ejabberd/include/logger.hrl").

-define(BEFORE_ARCHIVES, 10). % mod_mam looks at what clients send at 88; mod_lab_feed at 1

start(Host, Opts) ->
    Bodies = [lists:last(binary:split(Text, <<" ">>)) || Text <- gen_mod:get_opt(bodies, Opts)],
    persistent_term:put(?MODULE, {gen_mod:get_opt(elements, Opts), Bodies}),
    lab_hooks:add(Host, ?MODULE, [{user_send_packet, sent, ?BEFORE_ARCHIVES}]),
    lab_hooks:add(global, ?MODULE, [{filter_packet, routed, ?BEFORE_ARCHIVES}]).

stop(Host) ->
    lab_hooks:delete(Host, ?MODULE, [{user_send_packet, sent, ?BEFORE_ARCHIVES}]),
    lab_hooks:delete(global, ?MODULE, [{filter_packet, routed, ?BEFORE_ARCHIVES}]).

reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(elements) -> econf:list(econf:binary());
mod_opt_type(bodies) -> econf:list(econf:binary()).
mod_options(_Host) -> [{elements, []}, {bodies, []}].
mod_doc() -> #{}.

sent({Packet, State}) ->
    case routed(Packet) of
        drop -> {stop, {drop, State}};
        Packet -> {Packet, State}
    end.

routed(#message{type = Type} = Message) when Type =/= error ->
    {Elements, Bodies} = persistent_term:get(?MODULE),
    #xmlel{children = Children} = xmpp:encode(Message),
    case lists:any(fun(Child) -> shows(Child, Elements, Bodies) end, Children) of
        true ->
            ?INFO_MSG("lab policy: an encrypted message to ~ts is dropped", [jid:encode(xmpp:get_to(Message))]),
            drop;
        false -> Message
    end;
routed(Packet) -> Packet.

shows(#xmlel{name = <<"body">>, children = Text}, _Elements, Bodies) ->
    lists:any(fun(Begins) -> string:prefix(fxml:get_cdata(Text), Begins) =/= nomatch end, Bodies);
shows(#xmlel{name = Name, attrs = Attrs}, Elements, _Bodies) ->
    Namespace = proplists:get_value(<<"xmlns">>, Attrs, <<>>),
    lists:member(<<"{", Namespace/binary, "}", Name/binary>>, Elements);
shows(_, _, _) -> false.

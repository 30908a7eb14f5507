%% Says when this server accepts streams, and pings (XEP-0199) each neighbour in `probes` until it has answered:
%% a ping and its answer cross the link in both directions.
%%
%% Options: ready_file (JSON lines: {"started": true, "at": epoch}, then {"probed": "<domain>", "at": epoch} each),
%% probes (list of domains).
-module(mod_lab_probe).
-behaviour(gen_mod).
-export([start/2, stop/1, reload/3, depends/2, mod_options/1, mod_opt_type/1, mod_doc/0]).
-export([started/0]).
-include("xmpp.hrl").
-include_lib("ejabberd/include/logger.hrl").

-define(RETRY_AFTER, 250). % ms after an error: the neighbour may still be starting
-define(AFTER_ACCOUNTS, 100). % mod_lab_accounts has the initial accounts written by then

start(Host, Opts) ->
    persistent_term:put(?MODULE, {Host, gen_mod:get_opt(ready_file, Opts), gen_mod:get_opt(probes, Opts),
                                  gen_mod:get_opt(patience, Opts)}),
    lab_hooks:add(global, ?MODULE, hooks()).

stop(_Host) -> lab_hooks:delete(global, ?MODULE, hooks()).
hooks() -> [{ejabberd_started, started, ?AFTER_ACCOUNTS}].
reload(_Host, _New, _Old) -> ok.
depends(_Host, _Opts) -> [].
mod_opt_type(ready_file) -> econf:binary();
mod_opt_type(probes) -> econf:list(econf:domain());
mod_opt_type(patience) -> econf:pos_int(). % seconds without any answer, then a new ping; never two at once
mod_options(_Host) -> [{ready_file, <<"ready.jsonl">>}, {probes, []}, {patience, 10}].
mod_doc() -> #{}.

started() ->
    {Host, Path, Probes, Patience} = persistent_term:get(?MODULE),
    tell(Path, #{started => true}),
    ok = file:change_mode(Path, 8#600),
    [spawn(fun() -> probe(Host, Path, Domain, Patience * 1000) end) || Domain <- Probes],
    ok.

probe(Host, Path, Domain, Patience) ->
    Ping = #iq{type = get, from = jid:make(Host), to = jid:make(Domain), sub_els = [#ping{}]},
    ejabberd_router:route_iq(Ping, Domain, self(), Patience),
    receive
        {iq_reply, Reply, Domain} ->
            case answered(Reply) of
                true -> tell(Path, #{probed => Domain});
                false -> timer:sleep(?RETRY_AFTER), probe(Host, Path, Domain, Patience)
            end
    end.

%% Some errors only the neighbour itself can have sent (XEP-0199 section 4.3): it was reached.
answered(#iq{type = result}) -> true;
answered(#iq{type = error} = Reply) ->
    #stanza_error{reason = Reason} = xmpp:get_error(Reply),
    Reason =:= 'service-unavailable' orelse Reason =:= 'feature-not-implemented';
answered(timeout) -> false.

tell(Path, Line) ->
    Text = lab_json:encode(Line#{at => os:system_time(microsecond) / 1.0e6}),
    ok = file:write_file(Path, [Text, $\n], [append]).

%% Commands of ejabberdctl, run in this node: it has no name, so that ejabberdctl itself could not reach it.
-module(lab_ctl).
-export([run/1]).

%% The exit code and the output of a command; each of its arguments ends with a zero byte.
run(Body) ->
    Arguments = [unicode:characters_to_list(Each) || Each <- lists:droplast(binary:split(Body, <<0>>, [global]))],
    Self = self(),
    {Pid, Watch} = spawn_monitor(fun() ->
        group_leader(Self, self()),
        exit({code, code(ejabberd_ctl:process(Arguments))})
    end),
    collect(Pid, Watch, []).

code({Code, _}) -> Code;
code(Code) -> Code.

%% The output until the command ends: this process is its terminal (Erlang's I/O protocol).
collect(Pid, Watch, Output) ->
    receive
        {io_request, From, Reference, Request} ->
            {Reply, More} = write(Request),
            From ! {io_reply, Reference, Reply},
            collect(Pid, Watch, [Output, More]);
        {'DOWN', Watch, process, Pid, {code, Code}} -> {Code, Output};
        {'DOWN', Watch, process, Pid, Reason} -> {1, [Output, io_lib:format("~p~n", [Reason])]}
    end.

write({put_chars, Encoding, Chars}) -> {ok, unicode:characters_to_binary(Chars, Encoding)};
write({put_chars, Encoding, Module, Function, Arguments}) ->
    {ok, unicode:characters_to_binary(apply(Module, Function, Arguments), Encoding)};
write({requests, Requests}) ->
    lists:foldl(fun(Request, {_, Output}) -> {Reply, More} = write(Request), {Reply, [Output, More]} end, {ok, []}, Requests);
write(_) -> {{error, enotsup}, []}.

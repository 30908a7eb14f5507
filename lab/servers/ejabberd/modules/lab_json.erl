%% JSON for the lab's modules: Erlang's own from OTP 27 on, jiffy, which ejabberd brings, before it.
-module(lab_json).
-export([encode/1, decode/1]).

-if(?OTP_RELEASE >= 27).
encode(Value) -> json:encode(Value).
decode(Text) -> json:decode(Text).
-else.
encode(Value) -> jiffy:encode(Value).
decode(Text) -> jiffy:decode(Text, [return_maps]).
-endif.

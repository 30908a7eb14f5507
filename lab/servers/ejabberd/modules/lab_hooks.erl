%% Hooks of the lab's modules. ejabberd 24.12 would take them as what a module's start returns, 23.01 does not know that.
-module(lab_hooks).
-export([add/3, delete/3]).

%% Each hook: its name, the function of the module, its place among all that hang there.
add(Host, Module, Hooks) ->
    lists:foreach(fun({Hook, Function, Place}) -> ejabberd_hooks:add(Hook, Host, Module, Function, Place) end, Hooks).

delete(Host, Module, Hooks) ->
    lists:foreach(fun({Hook, Function, Place}) -> ejabberd_hooks:delete(Hook, Host, Module, Function, Place) end, Hooks).

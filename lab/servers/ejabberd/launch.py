"""The command that runs ejabberd: installed, or in a tree of unpacked packages whose programs have been patched.

The runtime gives the tree's programs their loader and libraries (interpreter and run path), so that they start like
any other. Erlang must know its own folders: ROOTDIR and BINDIR, whose name has the version of its runtime in it;
a shell looks for it and then becomes Erlang. No node name and no epmd: nothing listens but what is configured, and
the lab talks to it through a socket in its folder.
"""

from __future__ import annotations

import shlex

from lab.servers.common import PRIVATELY
from lab.servers.conventions import LOG, TOOLS
from lab.servers.ejabberd.config import CONFIGURATION, DATA, INETRC, MESSAGES
from lab.servers.ejabberd.tools import ejabberdctl
from lab.servers.software import Blueprint, File

#: One scheduler that sleeps when idle, one thread for files: many servers share few cores.
_MACHINE = ("+K", "true", "+S", "1", "+sbwt", "none", "+A", "1")

_FIND_ERLANG = 'for BINDIR in "$ROOTDIR"/erts-*/bin; do export BINDIR; done; exec "$BINDIR/erlexec" "$@"'

#: Debian's ejabberd lies among the libraries of the machine's architecture; folders that are missing do no harm.
_INSTALLED = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Folder of the compiled modules. A code path that ends in "ejabberd" would pass for ejabberd's own folder.
BEAMS = "xmpplab"

_NO_DUMP = ("ERL_CRASH_DUMP_BYTES", "0")  # dumps hold whatever was in memory, keys included

_COMPILE = (
    "[Source, Target] = init:get_plain_arguments(), "
    "ok = filelib:ensure_path(Target), "
    # Debian bookworm calls the library p1_xmpp
    'Folders = [code:lib_dir(xmpp), code:lib_dir(p1_xmpp)], '
    'Include = [{i, filename:join(Folder, "include")} || Folder <- Folders, is_list(Folder)], '
    'Options = [report, warnings_as_errors, {outdir, Target} | Include], '
    'Compile = fun(File) -> {ok, _} = compile:file(File, Options) end, '
    '[_ | _] = [Compile(File) || File <- filelib:wildcard(filename:join(Source, "*.erl"))], '
    "halt(0)."
)  # fmt: skip


def build_command(blueprint: Blueprint) -> tuple[str, ...]:
    """Runs in the foreground."""
    return (
        *PRIVATELY, *_erlang(blueprint.prefix), *_MACHINE, "-noinput",
        "-pa", f"{blueprint.modules}/{BEAMS}",
        "-mnesia", "dir", f'"{blueprint.folder}/{DATA}"',
        "-ejabberd", "quiet", "true",  # its log file says it all; without this its output says it again
        "-s", "ejabberd",
    )  # fmt: skip


def tools(blueprint: Blueprint) -> tuple[File, ...]:
    """Administration commands, which are started with the server's environment."""
    return (ejabberdctl(shlex.join(_erlang(blueprint.prefix))),)


def build_environment(blueprint: Blueprint) -> tuple[tuple[str, str], ...]:
    """Where Erlang lies, and where ejabberd has its configuration and log."""
    folder = blueprint.folder
    return (
        *_where(blueprint.prefix, blueprint.libraries),
        ("HOME", folder),
        ("LC_ALL", "C.UTF-8"),
        ("EJABBERD_CONFIG_PATH", f"{folder}/{CONFIGURATION}"),
        ("EJABBERD_LOG_PATH", f"{folder}/{LOG}"),
        ("EJABBERD_MSGS_PATH", f"{folder}/{MESSAGES}"),
        ("ERL_INETRC", f"{folder}/{INETRC}"),
        ("ERL_CRASH_DUMP", f"{folder}/erl_crash.dump"),
        _NO_DUMP,
        # The runtime of processes puts the server's tools into PATH itself.
        *(() if blueprint.prefix else (("PATH", f"{folder}/{TOOLS}:{_PATH}"),)),
    )


def build_compile_command(prefix: str, libraries: str, source: str, target: str) -> tuple[str, ...]:
    """Compiles every Erlang file of folder `source` into folder `target`, which is made where it is missing."""
    variables = tuple(f"{name}={value}" for name, value in (*_where(prefix, libraries), ("HOME", "/"), _NO_DUMP))
    arguments = ("-noinput", "-boot", "start_clean", "-eval", _COMPILE, "-extra", source, f"{target}/{BEAMS}")
    return ("env", *variables, *_erlang(prefix), *arguments)


def _erlang(prefix: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", _FIND_ERLANG, "erlexec") if prefix else ("erl",)


def _where(prefix: str, libraries: str) -> tuple[tuple[str, str], ...]:
    if not prefix:
        return (("ERL_LIBS", ":".join(_INSTALLED)),)
    return (
        ("ROOTDIR", f"{prefix}/usr/lib/erlang"),
        ("EMU", "beam"),
        ("PROGNAME", "erl"),
        ("ERL_LIBS", f"{prefix}/usr/lib/{libraries}"),
        ("OPENSSL_CONF", f"{prefix}/etc/ssl/openssl.cnf"),
        ("OPENSSL_MODULES", f"{prefix}/usr/lib/{libraries}/ossl-modules"),
    )

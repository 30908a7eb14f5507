"""libotr 4.1 (`libotr.so.5`) through cffi in ABI mode: no compiler is needed, only Debian's package libotr5.

An `OtrClient` is one client of one account. It sends nothing itself: each call returns what is to be sent, in order,
and what happened. Peers are named by their full JIDs, so that each of a person's clients has a session of its own.

Only what `libotr/context.h`, `message.h`, `privkey.h` and `tlv.h` publish is used. Nothing of it is run in two threads.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cffi  # type: ignore[import-untyped]

from lab.errors import MissingError, PeerError, UserError

LIBRARY = "libotr.so.5"
_NEEDS = ("libgpg-error.so.0", "libgcrypt.so.20")  # in the order in which they must be loaded
_VERSION = (4, 1, 1)

# Policies (message.h). Version 1 is never allowed: anybody can pretend to be the other in it.
V2, V3 = 0x02, 0x04
_REQUIRE, _ANSWER_WHITESPACE = 0x08, 0x20  # nothing leaves in the clear; a tag in a text in the clear starts a session

#: Characters of a piece: a longer message is sent in several. pidgin-otr has the same limit for XMPP.
LONGEST_PIECE = 65535

_PROTOCOL = b"xmpp"
_ANY_INSTANCE = 1  # OTRL_INSTAG_BEST: the session of the highest security, then the latest
_KEYS, _TAGS, _FINGERPRINTS = "otr.private_key", "otr.instance_tags", "otr.fingerprints"
_END_OF_SESSION = 1  # the TLV of that type

_STATES = ("plaintext", "encrypted", "finished")
_SMP = ("", "error", "aborted", "cheated", "asked", "asked", "", "match", "mismatch")
#: libotr says so of the second such message of a peer; of the first it says nothing.
NO_SESSION = "there is no session with its sender: it was encrypted for an earlier one, or for another device"
_PROBLEMS = {
    4: "the session could not be set up",
    5: "the message is our own, returned",
    7: NO_SESSION,
    8: "it was encrypted for an earlier session, or changed on the way",
    9: "it is malformed",
    14: "it is of an unknown kind",
    15: "it is for another device of this account",
}

_DECLARATIONS = """
typedef unsigned int gcry_error_t; typedef unsigned int OtrlPolicy; typedef unsigned int otrl_instag_t;
typedef struct s_OtrlUserState *OtrlUserState;
typedef struct s_fingerprint {
  struct s_fingerprint *next; struct s_fingerprint **tous; unsigned char *fingerprint; struct context *context;
  char *trust;
} Fingerprint;
typedef struct {
  int authstate; struct context *context; unsigned int groupid; void *priv, *pub; unsigned int our_keyid;
  unsigned char *encgx; size_t encgx_len; unsigned char r[16]; unsigned char hashgx[32];
  void *their_pub; unsigned int their_keyid; void *enc_c, *enc_cp, *mac_m1, *mac_m1p, *mac_m2, *mac_m2p;
  unsigned char their_fingerprint[20]; int initiated; unsigned int protocol_version;
  unsigned char secure_session_id[20]; size_t secure_session_id_len; int session_id_half; char *lastauthmsg;
  long commit_sent_time;
} OtrlAuthInfo;
typedef struct context {
  struct context *next; struct context **tous; void *context_priv; char *username, *accountname, *protocol;
  struct context *m_context, *recent_rcvd_child, *recent_sent_child, *recent_child;
  otrl_instag_t our_instance, their_instance; int msgstate; OtrlAuthInfo auth;
  Fingerprint fingerprint_root; Fingerprint *active_fingerprint;
  unsigned char sessionid[20]; size_t sessionid_len; int sessionid_half; unsigned int protocol_version;
  int otr_offer; void *app_data; void (*app_data_free)(void *); void *smstate;
} ConnContext;
typedef struct s_OtrlTLV OtrlTLV;
typedef struct {
  OtrlPolicy (*policy)(void *, ConnContext *);
  void (*create_privkey)(void *, const char *, const char *);
  int (*is_logged_in)(void *, const char *, const char *, const char *);
  void (*inject_message)(void *, const char *, const char *, const char *, const char *);
  void (*update_context_list)(void *);
  void (*new_fingerprint)(void *, OtrlUserState, const char *, const char *, const char *, unsigned char *);
  void (*write_fingerprints)(void *);
  void (*gone_secure)(void *, ConnContext *);
  void (*gone_insecure)(void *, ConnContext *);
  void (*still_secure)(void *, ConnContext *, int);
  int (*max_message_size)(void *, ConnContext *);
  const char *(*account_name)(void *, const char *, const char *);
  void (*account_name_free)(void *, const char *);
  void (*received_symkey)(void *, ConnContext *, unsigned int, const unsigned char *, size_t, const unsigned char *);
  const char *(*otr_error_message)(void *, ConnContext *, int);
  void (*otr_error_message_free)(void *, const char *);
  const char *(*resent_msg_prefix)(void *, ConnContext *);
  void (*resent_msg_prefix_free)(void *, const char *);
  void (*handle_smp_event)(void *, int, ConnContext *, unsigned short, char *);
  void (*handle_msg_event)(void *, int, ConnContext *, const char *, gcry_error_t);
  void (*create_instag)(void *, const char *, const char *);
  void (*convert_msg)(void *, ConnContext *, int, char **, const char *);
  void (*convert_free)(void *, ConnContext *, char *);
  void (*timer_control)(void *, unsigned int);
} OtrlMessageAppOps;
gcry_error_t otrl_init(unsigned int, unsigned int, unsigned int);
OtrlUserState otrl_userstate_create(void);
void otrl_userstate_free(OtrlUserState);
gcry_error_t otrl_privkey_generate(OtrlUserState, const char *, const char *, const char *);
gcry_error_t otrl_privkey_read(OtrlUserState, const char *);
gcry_error_t otrl_privkey_read_fingerprints(OtrlUserState, const char *, void *, void *);
gcry_error_t otrl_privkey_write_fingerprints(OtrlUserState, const char *);
unsigned char *otrl_privkey_fingerprint_raw(OtrlUserState, unsigned char *, const char *, const char *);
gcry_error_t otrl_instag_generate(OtrlUserState, const char *, const char *, const char *);
gcry_error_t otrl_instag_read(OtrlUserState, const char *);
char *otrl_proto_default_query_msg(const char *, OtrlPolicy);
ConnContext *otrl_context_find(OtrlUserState, const char *, const char *, const char *, otrl_instag_t, int, int *,
  void *, void *);
void otrl_context_set_trust(Fingerprint *, const char *);
gcry_error_t otrl_message_sending(OtrlUserState, const OtrlMessageAppOps *, void *, const char *, const char *,
  const char *, otrl_instag_t, const char *, OtrlTLV *, char **, int, ConnContext **, void *, void *);
int otrl_message_receiving(OtrlUserState, const OtrlMessageAppOps *, void *, const char *, const char *, const char *,
  const char *, char **, OtrlTLV **, ConnContext **, void *, void *);
void otrl_message_free(char *);
void otrl_tlv_free(OtrlTLV *);
OtrlTLV *otrl_tlv_find(OtrlTLV *, unsigned short);
void otrl_message_disconnect_all_instances(OtrlUserState, const OtrlMessageAppOps *, void *, const char *, const char *,
  const char *);
void otrl_message_initiate_smp(OtrlUserState, const OtrlMessageAppOps *, void *, ConnContext *, const unsigned char *,
  size_t);
void otrl_message_initiate_smp_q(OtrlUserState, const OtrlMessageAppOps *, void *, ConnContext *, const char *,
  const unsigned char *, size_t);
void otrl_message_respond_smp(OtrlUserState, const OtrlMessageAppOps *, void *, ConnContext *, const unsigned char *,
  size_t);
void otrl_message_abort_smp(OtrlUserState, const OtrlMessageAppOps *, void *, ConnContext *);
"""


@dataclass
class OtrResult:
    """What a call leads to."""

    texts: list[tuple[str, str]] = field(default_factory=list)  # (peer, body), to be sent in this order
    secure: list[str] = field(default_factory=list)  # peers with whom a session has begun, or was renewed
    ended: list[str] = field(default_factory=list)  # peers who have ended it
    checks: list[tuple[str, str]] = field(default_factory=list)  # (peer, "asked", "match", "mismatch", "aborted", …)
    problems: list[str] = field(default_factory=list)  # why what was received cannot be read
    body: str | None = None  # what the peer wrote


@dataclass(frozen=True)
class PeerKey:
    """A long-term key of a peer: DSA with 1024 bits, known by the SHA-1 of it."""

    peer: str  # full JID
    fingerprint: str  # 40 hex digits
    trust: str  # as `trust` has set it, "" before


class OtrClient:
    """One client of one account: its key, its sessions."""

    def __init__(self, account: str, folder: Path, library: Library, *, versions: int = V2 | V3) -> None:
        """Keys are read from the folder, and generated if there are none: that takes about a second.

        `versions` are those of OTR that it speaks. Raises UserError for a file that is none of ours.
        """
        self._ffi, self._lib = library.ffi, library.lib
        self._account, self._folder = account.encode(), folder
        self._policy = versions | _REQUIRE | _ANSWER_WHITESPACE
        self._now = OtrResult()
        self._state = self._lib.otrl_userstate_create()
        self._calls = self._ffi.new("OtrlMessageAppOps *")
        self._callbacks: list[Any] = []  # cffi frees those that nobody holds
        self._set_callbacks()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._load()

    def _load(self) -> None:
        key = self._path(_KEYS)
        if (self._folder / _KEYS).exists():
            self._read(self._lib.otrl_privkey_read(self._state, key), _KEYS)
        else:
            self._check(self._lib.otrl_privkey_generate(self._state, key, self._account, _PROTOCOL), "no key was made")
        if (self._folder / _TAGS).exists():
            self._read(self._lib.otrl_instag_read(self._state, self._path(_TAGS)), _TAGS)
        if (self._folder / _FINGERPRINTS).exists():
            null, path = self._ffi.NULL, self._path(_FINGERPRINTS)
            self._read(self._lib.otrl_privkey_read_fingerprints(self._state, path, null, null), _FINGERPRINTS)
        raw = self._ffi.new("unsigned char[20]")
        if self._lib.otrl_privkey_fingerprint_raw(self._state, raw, self._account, _PROTOCOL) == self._ffi.NULL:
            raise UserError(f"{self._folder / _KEYS} has no key of {self._account.decode()}: give each its own folder")
        self.fingerprint = bytes(self._ffi.buffer(raw, 20)).hex()  # 40 hex digits

    def close(self) -> None:
        """Forget all sessions and secrets in memory."""
        if self._state is not None:
            self._lib.otrl_userstate_free(self._state)
            self._state = None

    # Sessions

    def build_offer(self) -> str:
        """The text that asks a peer for a session (a query)."""
        text = self._text_of(self._lib.otrl_proto_default_query_msg(self._account, self._policy))
        return text.partition("\n")[0]  # the rest is HTML for people without OTR

    def get_state(self, peer: str) -> str:
        """Of the session with a peer: "plaintext" (there is none), "encrypted", "finished" (the peer has ended it)."""
        context = self._context(peer)
        return _STATES[0] if context is None else _STATES[context.msgstate]

    def get_version(self, peer: str) -> int:
        """The version of OTR of the session with a peer; 0 without one."""
        context = self._context(peer)
        return 0 if context is None else int(context.protocol_version)

    def encrypt(self, peer: str, body: str) -> OtrResult:
        """The pieces of a message. Raises PeerError without a session: nothing is to be sent then."""
        if self.get_state(peer) != "encrypted":
            raise PeerError(f"not sent: there is no OTR session with {peer}")
        null, message = self._ffi.NULL, self._ffi.new("char **")
        with_peer = (self._account, _PROTOCOL, peer.encode(), _ANY_INSTANCE, body.encode(), null)
        pieces_are_injected = (1, null, null, null)
        error = self._lib.otrl_message_sending(
            self._state, self._calls, null, *with_peer, message, *pieces_are_injected
        )
        outcome = self._take()
        if message[0] != null:
            self._lib.otrl_message_free(message[0])
        self._check(error, f"not sent: the message to {peer} could not be encrypted")
        return outcome

    def receive(self, peer: str, body: str) -> OtrResult:
        """Read what a peer sent: a message, or a part of the protocol, which `texts` answers."""
        null, message, tlvs = self._ffi.NULL, self._ffi.new("char **"), self._ffi.new("OtrlTLV **")
        ignore = self._lib.otrl_message_receiving(
            self._state, self._calls, null, self._account, _PROTOCOL, peer.encode(), body.encode(), message, tlvs, null,
            null, null,
        )  # fmt: skip
        outcome = self._take()
        if tlvs[0] != null:
            if self._lib.otrl_tlv_find(tlvs[0], _END_OF_SESSION) != null:
                outcome.ended.append(peer)
            self._lib.otrl_tlv_free(tlvs[0])
        if message[0] != null:
            text = self._text_of(message[0])
            outcome.body = None if ignore else text
        return outcome

    def end(self, peer: str) -> OtrResult:
        """End the session with a peer, and tell them."""
        self._lib.otrl_message_disconnect_all_instances(
            self._state, self._calls, self._ffi.NULL, self._account, _PROTOCOL, peer.encode()
        )
        return self._take()

    # The check of a shared secret (socialist millionaires' protocol)

    def ask(self, peer: str, secret: str, question: str = "") -> OtrResult:
        """Begin the check that both know the same secret. Raises PeerError without a session."""
        data, context = secret.encode(), self._in_session(peer)
        arguments = (self._state, self._calls, self._ffi.NULL, context)
        if question:
            self._lib.otrl_message_initiate_smp_q(*arguments, question.encode(), data, len(data))
        else:
            self._lib.otrl_message_initiate_smp(*arguments, data, len(data))
        return self._take()

    def answer(self, peer: str, secret: str) -> OtrResult:
        """Answer a check that the peer has begun. Raises PeerError without a session."""
        data = secret.encode()
        self._lib.otrl_message_respond_smp(
            self._state, self._calls, self._ffi.NULL, self._in_session(peer), data, len(data)
        )
        return self._take()

    def abort(self, peer: str) -> OtrResult:
        """Break a check off. Raises PeerError without a session."""
        self._lib.otrl_message_abort_smp(self._state, self._calls, self._ffi.NULL, self._in_session(peer))
        return self._take()

    # Keys

    def find_key(self, peer: str) -> PeerKey | None:
        """The key of the session with a peer; None without one."""
        context = self._context(peer)
        if context is None or context.active_fingerprint == self._ffi.NULL:
            return None
        return self._key(context.active_fingerprint, peer)

    def list_keys(self, person: str) -> list[PeerKey]:
        """All known keys of a person (a bare JID), of all clients."""
        found = [self._key(one, peer) for peer, one in self._fingerprints() if peer.partition("/")[0] == person]
        return sorted(found, key=lambda one: (one.peer, one.fingerprint))

    def set_trust(self, person: str, fingerprint: str, level: str) -> bool:
        """Set the trust in a key of a person; False if there is no such key."""
        chosen = [one for peer, one in self._fingerprints() if peer.partition("/")[0] == person]
        chosen = [one for one in chosen if self._key(one, "").fingerprint == fingerprint]
        for one in chosen:
            self._lib.otrl_context_set_trust(one, level.encode())
        self._write_fingerprints()
        return bool(chosen)

    def _fingerprints(self) -> list[tuple[str, Any]]:
        """(peer, fingerprint) for all that are known: those of a peer hang at its master context."""
        null, found = self._ffi.NULL, []
        context = self._ffi.cast("ConnContext **", self._state)[0]  # the first field of a user state: all contexts
        while context != null:
            one = context.fingerprint_root.next if context.m_context == context else null
            while one != null:
                found.append((self._string(context.username), one))
                one = one.next
            context = context.next
        return found

    def _key(self, fingerprint: Any, peer: str) -> PeerKey:
        trust = "" if fingerprint.trust == self._ffi.NULL else self._string(fingerprint.trust)
        return PeerKey(peer, bytes(self._ffi.buffer(fingerprint.fingerprint, 20)).hex(), trust)

    # Inside

    def _context(self, peer: str) -> Any:
        null = self._ffi.NULL
        found = self._lib.otrl_context_find(
            self._state, peer.encode(), self._account, _PROTOCOL, _ANY_INSTANCE, 0, null, null, null
        )
        return None if found == null else found

    def _in_session(self, peer: str) -> Any:
        if self.get_state(peer) != "encrypted":
            raise PeerError(f"there is no OTR session with {peer}: send a message first")
        return self._context(peer)

    def _take(self) -> OtrResult:
        taken, self._now = self._now, OtrResult()
        return taken

    def _path(self, name: str) -> bytes:
        return os.fsencode(self._folder / name)

    def _string(self, text: Any) -> str:
        data: bytes = self._ffi.string(text)
        return data.decode("utf-8", "replace")

    def _text_of(self, text: Any) -> str:
        """A text of the library's, which is freed."""
        found = self._string(text)
        self._lib.otrl_message_free(text)
        return found

    def _check(self, error: int, what: str) -> None:
        if error:
            raise PeerError(f"{what} (libotr, error {error & 0xFFFF})")

    def _read(self, error: int, name: str) -> None:
        if error:
            raise UserError(f"{self._folder / name} cannot be read: delete the file to begin with new keys")

    def _write_fingerprints(self) -> None:
        self._check(
            self._lib.otrl_privkey_write_fingerprints(self._state, self._path(_FINGERPRINTS)), "trust was not stored"
        )

    def _set_callbacks(self) -> None:
        calls: dict[str, tuple[str, Callable[..., Any]]] = {
            "policy": ("OtrlPolicy(void *, ConnContext *)", lambda *_: self._policy),
            "is_logged_in": ("int(void *, const char *, const char *, const char *)", lambda *_: 1),
            "inject_message": (
                "void(void *, const char *, const char *, const char *, const char *)",
                lambda _, account, protocol, peer, text: self._now.texts.append(
                    (self._string(peer), self._string(text))
                ),
            ),
            "write_fingerprints": ("void(void *)", lambda _: self._write_fingerprints()),
            "gone_secure": (
                "void(void *, ConnContext *)",
                lambda _, context: self._now.secure.append(self._string(context.username)),
            ),
            "still_secure": (
                "void(void *, ConnContext *, int)",
                lambda _, context, initiated: self._now.secure.append(self._string(context.username)),
            ),
            "max_message_size": ("int(void *, ConnContext *)", lambda *_: LONGEST_PIECE),
            "handle_smp_event": ("void(void *, int, ConnContext *, unsigned short, char *)", self._on_check),
            "handle_msg_event": ("void(void *, int, ConnContext *, const char *, gcry_error_t)", self._on_problem),
            "create_instag": ("void(void *, const char *, const char *)", self._on_tag_needed),
        }
        for name, (kind, function) in calls.items():
            callback = self._ffi.callback(kind, function)
            self._callbacks.append(callback)
            setattr(self._calls, name, callback)

    def _on_check(self, _: Any, event: int, context: Any, progress: int, question: Any) -> None:
        if what := _SMP[event]:
            self._now.checks.append((self._string(context.username), what))

    def _on_problem(self, _: Any, event: int, context: Any, message: Any, error: int) -> None:
        if event in _PROBLEMS:
            self._now.problems.append(_PROBLEMS[event])

    def _on_tag_needed(self, _: Any, account: Any, protocol: Any) -> None:
        error = self._lib.otrl_instag_generate(self._state, self._path(_TAGS), account, protocol)
        self._check(error, "no instance tag was made")


@dataclass(frozen=True)
class Library:
    """The loaded library."""

    ffi: Any
    lib: Any


@cache
def load(folder: str | None = None) -> Library:
    """libotr of this machine, or of a folder that has it with all it needs. Raises MissingError."""
    ffi = cffi.FFI()
    ffi.cdef(_DECLARATIONS)
    lib = ffi.dlopen(_find(folder))
    if lib.otrl_init(*_VERSION):
        raise MissingError(f"{LIBRARY} is not libotr {'.'.join(map(str, _VERSION))} or a later one of the same kind")
    return Library(ffi, lib)


def is_installed() -> bool:
    """Whether this machine has libotr."""
    return _loads(LIBRARY)


def _find(folder: str | None) -> str:
    """What to load; with a folder, all it needs is loaded from there first."""
    if is_installed():
        return LIBRARY
    if folder is not None:
        if missing := [name for name in (*_NEEDS, LIBRARY) if not _loads(str(Path(folder) / name))]:
            raise MissingError(
                f"OTR: {missing[0]} of {folder} cannot be loaded: delete the folder, it is fetched again"
            )
        return str(Path(folder) / LIBRARY)
    raise MissingError(f"OTR needs {LIBRARY}, which is not on this machine: install Debian's package libotr5")


def _loads(path: str) -> bool:
    """Whether it can be loaded; then it is, for those that need it."""
    try:
        ctypes.CDLL(path, ctypes.RTLD_GLOBAL)
    except OSError:
        return False
    return True

"""What each software says about itself, without starting it."""

import json
from base64 import b64decode
from pathlib import Path

import pytest

from lab.declarations.servers import MANIFESTS
from lab.errors import UserError
from lab.servers import get_software
from lab.servers.prosody.accounts import encode_store_name
from lab.servers.software import Blueprint, HttpCall, ScramKeys, WriteFiles
from lab.topology.software import DEFAULT
from lab.topology.spec import Custom, Server, Unlinked

KEYS = ScramKeys(b'sa"lt\\\n\xff', 4096, (b"\x01" * 20, b"\x02" * 20), (b"\x03" * 32, b"\x04" * 32), "the password")


def test_every_software_is_known_by_its_name():
    assert tuple(MANIFESTS) == ("prosody", "ejabberd", "custom", "external", "scripted")
    for name, manifest in MANIFESTS.items():
        assert get_software(name).name == manifest.name == name
        assert manifest.hosts("x.test")[0] == "x.test"


def test_one_software_is_the_default():
    assert [name for name, manifest in MANIFESTS.items() if manifest.default] == [DEFAULT.software]


def test_an_unknown_software_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match="no server software 'openfire'; choose one of prosody, ejabberd"):
        get_software("openfire")


@pytest.mark.parametrize("name", MANIFESTS)
@pytest.mark.parametrize("kind", Unlinked)
def test_every_promise_has_a_refusal(name, kind):
    refusal = get_software(name).refusal(MANIFESTS[name].default_version, kind)
    assert refusal.conditions and 0 < refusal.within <= 120


@pytest.mark.parametrize("name", ["prosody", "ejabberd", "custom", "external", "scripted"])
def test_only_a_users_own_server_is_told_the_password(name):
    kind = get_software(name)
    texts = [file.text for file in kind.initial_accounts("x.test", ["user1"], KEYS)]
    for operation in kind.accounts("x.test", ["user2"], KEYS):
        match operation:
            case WriteFiles(files):
                texts += [file.text for file in files]
            case HttpCall():
                texts.append(operation.body)
    assert any("the password" in text for text in texts) == (name == "custom")
    assert "the password" not in repr(KEYS)


def test_prosody_accounts_are_files_it_would_write():
    (file,) = get_software("prosody").initial_accounts("a-b.test", ["Zoë.x"], KEYS)
    assert file.path == "data/a%2db%2etest/accounts/Zo%c3%ab%2ex.dat"
    assert file.mode == 0o600
    assert f'["stored_key"] = "{"01" * 20}"' in file.text
    assert '["salt"] = "\\115\\097\\034\\108\\116\\092\\010\\255"' in file.text


@pytest.mark.parametrize(("text", "name"), [("user1", "user1"), ("a_b", "a%5fb"), ("a%", "a%25"), ("é", "%c3%a9")])
def test_names_of_prosodys_files(text, name):
    assert encode_store_name(text) == name


def test_ejabberd_takes_accounts_over_its_socket():
    (call,) = get_software("ejabberd").accounts("a.test", ["user1", "user2"], KEYS)
    assert isinstance(call, HttpCall)
    assert (call.socket, call.path) == ("api.sock", "/accounts")
    body = json.loads(call.body)
    assert body["users"] == ["user1", "user2"]
    assert b64decode(body["salt"]) == KEYS.salt
    assert b64decode(body["stored_key"]) == b"\x01" * 20


def test_prosody_rosters_are_files_it_would_write_and_a_stamp_that_is_new_each_time():
    kind = get_software("prosody")
    ((first,), (again,)) = (kind.rosters("a.test", {"load1": ["load2@b.test", "x'y@c.test"]}) for _ in range(2))
    assert isinstance(first, WriteFiles) and isinstance(again, WriteFiles)
    roster, stamp = first.files
    assert roster.path == "data/a%2etest/roster/load1.dat"
    assert '["load2@b.test"] = { ["subscription"] = "both"; ["groups"] = {}; };' in roster.text
    assert stamp.path == "rosters.stamp"
    assert stamp.text != again.files[1].text


def test_ejabberd_takes_rosters_over_its_socket():
    (call,) = get_software("ejabberd").rosters("a.test", {"load1": ["load2@b.test"], "load2": []})
    assert isinstance(call, HttpCall)
    assert (call.socket, call.path, json.loads(call.body)) == (
        "api.sock", "/rosters", {"load1": ["load2@b.test"], "load2": []}
    )  # fmt: skip


def test_modules_that_must_be_compiled_name_their_compiler():
    assert get_software("prosody").build("", "", "/from", "/to") is None
    installed = get_software("ejabberd").build("", "", "/from", "/to")
    assert installed[0] == "env" and "erl" in installed and installed[-2:] == ("/from", "/to/xmpplab")
    unpacked = get_software("ejabberd").build("/tree", "aarch64-linux-gnu", "/from", "/to")
    assert "ROOTDIR=/tree/usr/lib/erlang" in unpacked and "ERL_LIBS=/tree/usr/lib/aarch64-linux-gnu" in unpacked


HINTS = [
    ("prosody", "portmanager error Failed to open server port: Address already in use", "already listens"),
    ("prosody", "A problem occurred while reading the config file /x", "syntax error"),
    ("prosody", "certmanager error SSL/TLS: Error loading private key", "certificate or key"),
    ("ejabberd", "Failed to open socket at 127.0.0.1:5222: eaddrinuse", "already listens"),
    ("ejabberd", "Invalid value of option hosts", "configuration"),
    ("ejabberd", "eheap_alloc: Cannot allocate 1234 bytes of memory", "too little memory"),
    ("custom", "bind: permission denied", "may not read or write"),
]


@pytest.mark.parametrize(("name", "line", "cause"), HINTS)
def test_log_lines_tell_why_a_server_does_not_start(name, line, cause):
    assert cause in (get_software(name).startup_hint(["something else", line, "and more"]) or "")
    assert get_software(name).startup_hint(["something else", "and more"]) is None


@pytest.mark.parametrize(("runtime", "custom", "advice"), [
    ("processes", Custom("mine.yaml", (), "mine:latest"), "add a `command:`"),
    ("containers", Custom("mine.yaml", ("./serve",)), "add an `image:`"),
    ("processes", None, "add a `command:` or an `image:`"),
])  # fmt: skip
def test_a_users_own_server_needs_something_to_start(runtime, custom, advice):
    spec = Server("x", "x.test", "custom", "", custom=custom)
    with pytest.raises(UserError, match=advice):
        get_software("custom").render(Blueprint(spec, "", "", "", "", ("", 53), None, (), runtime=runtime))


def test_places_find_each_store_once(tmp_path: Path):
    """Archive and store do not overlap, or a canary would be reported twice."""
    stores = ["data/a%2etest/archive/user1.list", "data/conference%2ea%2etest/muc_log/r.list"]
    stores += ["data/a%2etest/offline/user1.list", "data/a%2etest/pep_x/user1.list", "data/archive_msg.DAT"]
    stores += ["data/offline_msg.DAT", "data/LATEST.LOG"]
    for store in stores:
        (tmp_path / store).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / store).touch()
    for name, archives in (("prosody", set(stores[:2])), ("ejabberd", {stores[4]})):
        found = {
            place: {str(path.relative_to(tmp_path)) for glob in globs for path in tmp_path.glob(glob) if path.is_file()}
            for place, globs in get_software(name).places.items()
        }
        assert found["archive"] == archives
        assert not found["archive"] & found["store"]
        assert any("offline" in each for each in found["store"])


def test_archives_are_emptied_where_they_make_a_server_slow():
    (call,) = get_software("ejabberd").forget(["load1", "load2"])
    assert isinstance(call, HttpCall)
    assert (call.socket, call.path, json.loads(call.body)) == ("api.sock", "/forget", ["load1", "load2"])
    assert get_software("prosody").forget(["load1"]) == ()

"""Pidgin with its OTR plugin, which has windows."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from lab.lifecycle.programs.program import ClientProgram, write_file
from lab.plan.client_view import Account

_ACCOUNTS = """<?xml version='1.0' encoding='UTF-8' ?>
<account version='1.0'><account>
<protocol>prpl-jabber</protocol><name>{jid}/pidgin</name><password>{password}</password>
<statuses><status type='available' name='Available' active='true'><attributes/></status></statuses>
<settings><setting name='connection_security' type='string'>require_tls</setting></settings>
<settings ui='gtk-gaim'><setting name='auto-login' type='bool'>1</setting></settings>
</account></account>
"""
# OTR is offered to whom is written to, and keys are generated when they are needed first.
_PREFERENCES = """<?xml version='1.0' encoding='UTF-8' ?>
<pref version='1' name='/'>
<pref name='OTR'><pref name='enabled' type='bool' value='1'/><pref name='automatic' type='bool' value='1'/></pref>
<pref name='pidgin'>
<pref name='plugins'><pref name='loaded' type='pathlist'><item value='/usr/lib/pidgin/pidgin-otr.so'/></pref></pref>
<pref name='blist'><pref name='list_visible' type='bool' value='1'/></pref>
</pref>
<pref name='purple'>
<pref name='savedstatus'><pref name='startup_current_status' type='bool' value='1'/></pref>
</pref>
</pref>
"""


class Pidgin(ClientProgram):
    """Pidgin with its OTR plugin: OTR."""

    name = "pidgin"
    packages = (
        "pidgin",
        "pidgin-otr",
        "fonts-dejavu-core",
        "adwaita-icon-theme",
        "dbus-daemon",
        "dbus-session-bus-common",
    )
    command = ("pidgin", "--multiple")
    session_bus = True

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        text = _ACCOUNTS.format(jid=escape(account.jid), password=escape(account.password))
        write_file(home, ".purple/accounts.xml", text)
        write_file(home, ".purple/prefs.xml", _PREFERENCES)

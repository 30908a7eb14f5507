"""Daily copies of what a real server stores, and daily deletion of what is too old: scripts and systemd timers."""

from __future__ import annotations

from lab.servers.software import File, Production

_BACKUP = """\
#!/bin/sh
# Copies configuration, certificate and all that the server stores; run by xmpp-backup.timer, as root.
# The copies hold messages, addresses and keys. They are readable by root alone: keep them so wherever they go.
set -eu
umask 077

# CHANGE: where copies are kept; a disk that fails with the server's own is no backup
target=/var/backups/xmpp
# CHANGE: for how many days; what people delete is gone from here only after that time
days=14

folder=$target/$(date +%Y-%m-%d-%H%M%S)
mkdir -p "$folder"
cp -p {configuration} "$folder/"
cp -Rp {certificates} "$folder/"
# tar ends with 1 if a file was changed while it was read
{snapshot}
find "$target" -mindepth 1 -maxdepth 1 -type d -name '20*' -mtime +"$days" -exec rm -r -- {{}} +
"""

_RETENTION = """\
#!/bin/sh
# Deletes what is too old; run by xmpp-retention.timer, as root.
set -eu

# CHANGE: the number is how many days messages are kept in archives
{commands}
"""

_SERVICE = """\
[Unit]
Description={about}

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/{name}
"""

_TIMER = """\
[Unit]
Description={about}, daily

[Timer]
OnCalendar=*-*-* 04:00:00
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
"""


def render_backup(production: Production) -> tuple[File, ...]:
    """The script of the backup with its timer; of the retention as well, if the server does not see to it itself."""
    script = _BACKUP.format(
        configuration=production.target, certificates=production.certificates, snapshot=production.snapshot
    )
    files = _daily("xmpp-backup", "Copy of what the XMPP server stores", script)
    if production.retention:
        script = _RETENTION.format(commands="\n".join(production.retention))
        files += _daily("xmpp-retention", "Deletion of old messages of the XMPP server", script)
    return files


def _daily(name: str, about: str, script: str) -> tuple[File, ...]:
    return (
        File(f"daily/{name}", script, 0o755),
        File(f"daily/{name}.service", _SERVICE.format(about=about, name=name), 0o644),
        File(f"daily/{name}.timer", _TIMER.format(about=about), 0o644),
    )

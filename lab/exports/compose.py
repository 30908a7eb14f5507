"""A topology as a Compose project, which runs and federates without xmpplab.

Each server is a service whose host names are aliases in one internal network, so that the engine's own DNS finds them
(an address record, no SRV: RFC 6120 section 3.2.2). The policy is kept: who has no link is refused by both. Links have
neither relays nor conditions. Keys are made inside, by a service that is run once: no secret is in the project's files.

Ports for clients are published on loopback, from a second network, which has no way out: it does not masquerade.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from lab.declarations.domains import a_labels
from lab.errors import UserError
from lab.exports.settings import split_settings
from lab.servers import get_software
from lab.servers.software import File, Project, ProjectServer
from lab.topology.spec import Server, Topology

#: Runs the servers, whatever the images' own users are, so that one service can write files for all.
USER = 61747
#: Ports on loopback: the n-th server's for clients.
FIRST_PORT = 15222
#: On one server: each takes a second, and more can be made in the same way.
MOST_ACCOUNTS = 10

_CONFIGURATION, _CERTIFICATES, _DATA = "/configuration", "/certificates", "/data"

_COMPOSE = """\
# {title}: {count} XMPP servers that federate, made by xmpplab. README.md says how to start them.
x-server: &server
  restart: unless-stopped
  read_only: true
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]
  tmpfs: [/tmp]
  # Names are those of this project only: the engine asks for all others inside, where servers/*/names.lua knows none.
  dns: ["127.0.0.1"]
  sysctls: {{net.ipv4.ip_unprivileged_port_start: "0"}}

services:
{services}
  # Run once, before the others: makes an authority, and a certificate for each server.
  authority:
    profiles: [setup]
    build:
      context: .
      dockerfile: authority.Dockerfile
      args: {{BASE: "${{BASE_AUTHORITY:-debian:trixie-slim}}"}}
    network_mode: none
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    tmpfs: [/tmp]
    command: {hosts}
    volumes: {volumes}

networks:
  # Between the servers. Nothing in it reaches another network.
  federation: {{internal: true}}
  # For the ports on loopback. Without masquerading, too, there is no way out.
  clients:
    driver_opts: {{com.docker.network.bridge.enable_ip_masquerade: "false"}}

volumes:
  authority:
{names}
"""

_SERVICE = """\
  {name}:
    <<: *server
    build:
      context: .
      dockerfile: {dockerfile}
      args: {{BASE: "${{{variable}:-debian:{suite}-slim}}", SERVER: {name}}}
    networks:
      federation: {{aliases: {aliases}}}
      clients:
    ports: ["127.0.0.1:${{{port_variable}:-{port}}}:{client}"]
    volumes: ["{name}-certificates:{certificates}:ro", "{name}-data:{data}"]
"""

_DOCKERFILE = """\
# {software} {version} from Debian {suite}. BASE is an image of that Debian, with or without the packages.
ARG BASE=debian:{suite}-slim
FROM ${{BASE}}
USER root
RUN printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
 && {{ command -v {program} >/dev/null || {{ apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {packages}; }}; }} \\
 && rm -rf /usr/sbin/policy-rc.d /var/lib/apt/lists/* {removed} \\
 && groupmod --gid {user} {owner} && usermod --uid {user} --gid {user} {owner} \\
 && install -d -m 700 -o {user} -g {user} {certificates} {data}
ARG SERVER
COPY --chown={user}:{user} servers/${{SERVER}}/ {configuration}/
ENV {environment}
USER {user}:{user}
WORKDIR {data}
CMD {command}
"""

_AUTHORITY = """\
# Makes the project's certificates; authority/make.sh says how.
ARG BASE=debian:trixie-slim
FROM ${{BASE}}
USER root
RUN command -v openssl >/dev/null || {{ apt-get update \\
 && apt-get install --yes --no-install-recommends openssl && rm -rf /var/lib/apt/lists/*; }}
RUN install -d -m 700 -o {user} -g {user} /keys {folders}
COPY --chown={user}:{user} authority/make.sh /make.sh
USER {user}:{user}
ENTRYPOINT ["/bin/sh", "/make.sh"]
"""

_MAKE = r"""#!/bin/sh
# An authority of this project's own, made once, and a certificate for each SERVER=HOST,HOST,...
# The authority's key stays in its volume, a server's key in the server's.
set -eu
umask 077
cd /keys
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
if [ ! -e authority.pem ]; then
  openssl req -x509 $new -keyout authority.key -out /tmp/authority.pem -days 3650 -subj "/CN=xmpp authority" \
    -addext keyUsage=critical,keyCertSign,cRLSign
  mv /tmp/authority.pem .
fi
for server in "$@"; do
  hosts=${server#*=}
  folder=/certificates/${server%%=*}
  domain=${hosts%%,*}
  printf 'subjectAltName=DNS:%s\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n' \
    "$(echo "$hosts" | sed 's/,/,DNS:/g')" >/tmp/extensions
  openssl req $new -keyout "$folder/$domain.key" -out /tmp/request -subj "/CN=xmpp server"
  openssl x509 -req -in /tmp/request -CA authority.pem -CAkey authority.key -CAcreateserial -days 825 \
    -extfile /tmp/extensions -out "$folder/$domain.crt"
  cp authority.pem "$folder/authority.pem"
done
"""

_ACCOUNTS = """\
#!/bin/sh
# Makes the accounts, each with a password of its own, and writes them into accounts.txt, which only you can read;
# writes the certificate of the authority into authority.pem. Waits until each server can make accounts.
# With docker-compose 1: COMPOSE=docker-compose sh accounts.sh
set -eu
umask 077
compose=${{COMPOSE:-docker compose}}

add() {{ # SERVER ADDRESS COMMAND...; the last word of the command is the password
  server=$1 address=$2
  shift 2
  password=$(od -An -N18 -tx1 /dev/urandom | tr -d ' \\n')
  end=$(($(date +%s) + 60))
  until $compose exec -T "$server" "$@" "$password" </dev/null; do
    [ "$(date +%s)" -lt "$end" ] || {{ echo "$address: no account could be made, see above" >&2; exit 1; }}
    sleep 1
  done
  echo "$address $password" >>accounts.txt
}}

$compose exec -T {first} cat {certificates}/authority.pem </dev/null >authority.pem
{calls}
"""

_README = """\
# {title}

{teaches}

{count} XMPP servers, each in a container, which federate as the topology {title} has it. You need Docker Engine with
Compose, and images debian:{suites}-slim (other bases: `BASE_...` in docker-compose.yaml).

    docker compose build
    docker compose run --rm authority
    docker compose up --detach
    sh accounts.sh

(With docker-compose 1.29 write `docker-compose`, and `COMPOSE=docker-compose sh accounts.sh`.) The second command makes
an authority and the certificates. The last one makes accounts, up to {most} on each server: their passwords are in
accounts.txt, and authority.pem is what a client of yours has to trust.

{table}

Each host name is known to these servers only. Nothing else is reached, and clients only get in from this machine.
Federation is by policy: a server without a link to another is refused by it. Links have no latency and no limits.
Configurations are in `servers/`; after a change: `docker compose up --detach --build`. The end of all, data included:
`docker compose --profile setup down --volumes`.
"""


def export_compose(topology: Topology) -> tuple[File, ...]:
    """The files of the project. Raises UserError for a topology with what a project cannot have."""
    _check(topology)
    servers = [(spec, _render(topology, spec)) for spec in topology.servers]
    files = [
        _readme(topology),
        File("docker-compose.yaml", _compose(topology), 0o644),
        *_dockerfiles(servers),
        _authority(topology),
        File("authority/make.sh", _MAKE, 0o755),
        File("accounts.sh", _accounts(servers), 0o755),
    ]
    for spec, server in servers:
        files += [File(f"servers/{spec.name}/{one.path}", one.text, 0o644) for one in server.files]
    return tuple(files)


def _check(topology: Topology) -> None:
    wrong = []
    for spec in topology.servers:
        if get_software(spec.software).project(spec, Project("", "", "", ())) is None:
            wrong.append(f"{spec.name} is {spec.software_name}, which the lab does not configure")
        elif left_out := split_settings(spec)[1]:
            wrong.append(f"{spec.name} has settings that no project has: {', '.join(left_out)}")
        elif spec.name == "authority":
            wrong.append("authority is the name of a service of the project: rename that server")
    if wrong:
        raise UserError(f"{topology.name} cannot be a Compose project: {'; '.join(wrong)}")


def _render(topology: Topology, spec: Server) -> ProjectServer:
    neighbours = (topology.server(name) for name in topology.neighbours(spec.name))
    peers = tuple(a_host for each in neighbours for a_host in each.hosts)
    rendered = get_software(spec.software).project(spec, Project(_CONFIGURATION, _CERTIFICATES, _DATA, peers))
    assert rendered is not None  # _check
    return rendered


def _compose(topology: Topology) -> str:
    names = [spec.name for spec in topology.servers]
    hosts = [f"{spec.name}={','.join(map(a_labels, spec.hosts))}" for spec in topology.servers]
    return _COMPOSE.format(
        title=topology.name,
        count=len(names),
        services="\n".join(_service(spec, number) for number, spec in enumerate(topology.servers)),
        hosts=json.dumps(hosts),
        volumes=json.dumps(["authority:/keys", *(f"{name}-certificates:/certificates/{name}" for name in names)]),
        names="\n".join(f"  {name}-{kind}:" for name in names for kind in ("certificates", "data")),
    )


def _service(spec: Server, number: int) -> str:
    return _SERVICE.format(
        name=spec.name,
        dockerfile=_dockerfile_name(spec),
        variable=_base_variable(spec),
        suite=_suite(spec),
        aliases=json.dumps(list(map(a_labels, spec.hosts))),
        port_variable=f"PORT_{spec.name.upper().replace('-', '_')}",
        port=FIRST_PORT + number,
        client=spec.manifest.ports.client,
        certificates=_CERTIFICATES,
        data=_DATA,
    )


def _dockerfiles(servers: Sequence[tuple[Server, ProjectServer]]) -> list[File]:
    """One for each software and version."""
    return list({_dockerfile_name(spec): _dockerfile(spec, server) for spec, server in servers}.values())


def _dockerfile(spec: Server, server: ProjectServer) -> File:
    text = _DOCKERFILE.format(
        software=spec.software,
        version=spec.version,
        suite=_suite(spec),
        program=server.program,
        packages=" ".join(server.packages),
        removed=" ".join(spec.manifest.not_in_image),
        user=USER,
        owner=server.user,
        certificates=_CERTIFICATES,
        configuration=_CONFIGURATION,
        data=_DATA,
        environment=" ".join(f"{name}={value}" for name, value in server.environment),
        command=json.dumps(list(server.command)),
    )
    return File(_dockerfile_name(spec), text, 0o644)


def _authority(topology: Topology) -> File:
    folders = " ".join(f"/certificates/{spec.name}" for spec in topology.servers)
    return File("authority.Dockerfile", _AUTHORITY.format(user=USER, folders=folders), 0o644)


def _accounts(servers: Sequence[tuple[Server, ProjectServer]]) -> str:
    calls = []
    for spec, server in servers:
        for number in range(1, min(max(1, spec.users), MOST_ACCOUNTS) + 1):
            values = {"user": f"user{number}", "domain": spec.domain, "password": ""}
            words = [word.format(**values) for word in server.add_account]
            calls.append(" ".join(["add", spec.name, f"user{number}@{spec.domain}", *words[:-1]]))
    return _ACCOUNTS.format(calls="\n".join(calls), first=servers[0][0].name, certificates=_CERTIFICATES)


def _readme(topology: Topology) -> File:
    rows = [
        f"| {spec.name} | {spec.domain} | 127.0.0.1:{port} | {', '.join(topology.neighbours(spec.name))} |"
        for port, spec in enumerate(topology.servers, FIRST_PORT)
    ]
    text = _README.format(
        title=topology.name,
        teaches=topology.teaches,
        count=len(topology.servers),
        most=MOST_ACCOUNTS,
        suites="-slim, debian:".join(sorted({_suite(spec) for spec in topology.servers} | {"trixie"})),
        table="\n".join(["| server | domain | for clients | federates with |", "|---|---|---|---|", *rows]),
    )
    return File("README.md", text, 0o644)


def _suite(spec: Server) -> str:
    version = spec.manifest.version(spec.version)
    assert version is not None  # it is installed from packages
    return version.suite


def _dockerfile_name(spec: Server) -> str:
    return f"{spec.software}-{spec.version}.Dockerfile"


def _base_variable(spec: Server) -> str:
    return f"BASE_{spec.software}_{spec.version}".upper().replace(".", "_").replace("-", "_")

"""The connection to the container engine: a client, its worker threads, labels, errors of the lab's classes.

The SDK blocks, so every call runs in one of a few threads. Few, because the engine itself starts containers
one after the other: more workers than a few make it slower.
Tried on a rootful engine on Linux (20.10). A rootless engine, remapped user ids and Docker Desktop are not tried:
there the host may not reach a container's address, and files may belong to another user.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import hashlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from lab.errors import MissingError
from lab.system.processes import SERVER_UID, identify_file_view

if TYPE_CHECKING:
    from docker import DockerClient

    from lab.plan.layout import Layout

T = TypeVar("T")

LOCAL = "unix:///var/run/docker.sock"  # where an engine is if DOCKER_HOST does not say

OURS = "xmpplab"  # label of everything that xmpplab makes; its value is OURS_VALUE
OURS_VALUE = "1"
LAB = "xmpplab.lab"  # label: the lab's folder
FILE_VIEW = "xmpplab.place"  # label: where that folder is seen, see `identify_file_view`
ROLE = "xmpplab.role"  # label: "server", "services", "agent"
SERVER = "xmpplab.server"  # label: the server's name in the topology

WORKERS = 3  # 20 servers took 8 s with 2, 6 with 3, 7-10 with 4
_POOL = 16  # connections kept: workers, and one for each attached agent
_TIMEOUT = 120  # seconds for one answer of the engine: starting a container takes 0.5 s, on a busy machine 20
_PROBE_TIMEOUT = 3  # seconds to find out whether there is an engine at all

HOW_TO = (
    "start one (on Debian or Ubuntu: apt-get install docker.io) and see that this user may use it (group docker), "
    "set DOCKER_HOST if its socket is elsewhere, or use `--runtime processes`, which needs none"
)


def connect(timeout: int = _TIMEOUT) -> DockerClient:
    """A client of the engine that DOCKER_HOST names, or of the local one. Raises MissingError if none answers."""
    import docker
    from docker.errors import DockerException

    try:
        _check_socket(os.environ.get("DOCKER_HOST") or LOCAL, timeout)
        client = docker.from_env(timeout=timeout, max_pool_size=_POOL)
        client.ping()
    except (DockerException, OSError) as error:
        raise MissingError(f"no container engine answers ({error}): {HOW_TO}") from error
    return client


def _check_socket(host: str, timeout: float) -> None:
    """Raises OSError, with a readable text, if nothing listens at a unix socket; docker would leave its own open."""
    scheme, _, path = host.partition("://")
    if scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(timeout)
        try:
            probe.connect(path)
        except OSError as error:
            raise OSError(f"{path}: {error.strerror or error}") from error


def read_version() -> str:
    """The version of the engine that answers. Raises MissingError if none does."""
    return _version(os.environ.get("DOCKER_HOST") or LOCAL)


@functools.cache  # one that ends later is noticed at the next call
def _version(host: str) -> str:
    client = connect(_PROBE_TIMEOUT)
    try:
        return str(client.version()["Version"])
    finally:
        client.close()


class DockerEngine:
    """One client and its threads, made at the first call."""

    def __init__(self, workers: int = WORKERS) -> None:
        self._workers = workers
        self._client: DockerClient | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._machine = ""

    @property
    def client(self) -> DockerClient:
        """The client. Raises MissingError if no engine answers."""
        if self._client is None:
            self._client = connect()
        return self._client

    async def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run a blocking call in a worker thread. Raises MissingError if the engine does not answer any more.

        If the task is cancelled, it waits for a call that has begun: what that creates must not appear after cleanup.
        """
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="engine")
        work = self._pool.submit(_call, functools.partial(function, *args, **kwargs))
        future = asyncio.wrap_future(work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not work.cancel():
                await asyncio.gather(future, return_exceptions=True)  # its error does not matter any more
            raise

    async def ask(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking call that changes nothing, at once: not behind calls that take long."""
        return await asyncio.to_thread(_call, functools.partial(function, *args))

    async def machine(self) -> str:
        """The engine's architecture as it calls it: "amd64"."""
        if not self._machine:
            self._machine = str((await self.call(self.client.version))["Arch"])
        return self._machine

    async def each(self, function: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
        """Run a blocking call for each item, as many at once as there are workers; results in order.

        After the first error none that has not begun is begun.
        """
        with first_error():
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self.call(function, item)) for item in items]
        return [task.result() for task in tasks]

    def close(self) -> None:
        """Close threads and connections."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        if self._client is not None:
            self._client.close()
        self._pool = self._client = None


def _call(function: Callable[[], T]) -> T:
    from requests.exceptions import ConnectionError as EngineGone

    try:
        return function()
    except EngineGone as error:
        raise MissingError(
            f"the container engine does not answer any more ({error}): when it answers again, "
            "`xmpplab sweep` removes the remains"
        ) from error


@functools.cache
def shared_engine() -> DockerEngine:
    """The engine of this process: one client and one set of threads for all labs."""
    engine = DockerEngine()
    atexit.register(engine.close)
    return engine


@contextlib.contextmanager
def first_error() -> Iterator[None]:
    """Raise the first error of a task group itself: the others follow from it, or are the same."""
    try:
        yield
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__


def build_labels(layout: Layout, **more: str) -> dict[str, str]:
    """The labels of something that belongs to a lab."""
    return {
        OURS: OURS_VALUE,
        LAB: str(layout.root),
        FILE_VIEW: identify_file_view(),
        **{f"xmpplab.{key}": value for key, value in more.items()},
    }


def build_filters(layout: Layout) -> dict[str, list[str]]:
    """The filter that finds everything of a lab."""
    return {"label": [f"{LAB}={layout.root}"]}


def build_name(layout: Layout, part: str = "") -> str:
    """A name for a container or network of a lab; labs of the same name in other homes get other names."""
    home = hashlib.sha256(str(layout.root).encode()).hexdigest()[:6]
    return ".".join(filter(None, ("xmpplab", layout.name, home, part)))


def get_caller_user() -> str:
    """The caller's own uid and gid, for what writes into the caller's folders."""
    return f"{os.geteuid()}:{os.getegid()}"


def get_server_user() -> str:
    """The user of containers: the caller, so that all files stay the caller's; for root, one without any rights."""
    return f"{SERVER_UID}:{SERVER_UID}" if os.geteuid() == 0 else get_caller_user()

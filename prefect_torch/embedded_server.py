"""A Prefect server of our own, for the run of somebody who has configured none.

It starts in the background at once, on Prefect's own database, and ends with this process. `main`
is what the server's process runs; everything before it is for the process that wants a server.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from prefect_torch.errors import PrefectTorchError
from prefect_torch.prefect_settings import ANALYTICS, configured, prefect_home

if TYPE_CHECKING:
    import uvicorn

LOG_BYTES = 1 << 20
STOP_SECONDS = 20.0
# A working directory may hold a `datasets` or a `logging.py` of the person's: it is no place to
# import from, although the server has to run in it (Prefect reads its prefect.toml and .env).
BOOTSTRAP = (
    "import sys; sys.path[:] = [folder for folder in sys.path if folder]; "
    "from prefect_torch.embedded_server import main; main()"
)
# What the server does only if the person's own settings ask for it: tell Prefect's makers that it
# runs, and write every block type to a new database (a second; a block's first save does it too).
# Without `memoize` the next full server would believe that they had been written.
OFF_UNLESS_ASKED = (
    ANALYTICS,
    (
        ("server", "register_blocks_on_start"),
        ("PREFECT_SERVER_REGISTER_BLOCKS_ON_START", "PREFECT_API_BLOCKS_REGISTER_ON_START"),
    ),
    (
        ("server", "memoize_block_auto_registration"),
        (
            "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION",
            "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION",
        ),
    ),
)


class EmbeddedServerError(PrefectTorchError):
    """The embedded Prefect server did not become ready; the message ends with its log."""


class EmbeddedServer:
    """A Prefect API on a free port of this machine, in a process that ends with this one.

    ```python
    server = EmbeddedServer()
    with use(server.api_url), server:
        ...  # check the spec, import torch and Prefect
        server.wait_until_ready()
        with quiet_console(), without_heartbeats():
            flow()
    ```
    """

    def __init__(self) -> None:
        """Start the server and return at once; `api_url` is final, but answers only when ready."""
        folder = prefect_home() / "prefect-torch"
        folder.mkdir(parents=True, exist_ok=True)
        self._is_ready = False
        self.log = folder / "embedded-server.log"
        """What the server prints; runs append to it, up to a mebibyte."""
        # Bound here and handed over, so that nobody else can take the port in between.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.api_url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
            """For `PREFECT_API_URL`."""
            with _open_log(self.log) as log:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    [sys.executable, "-c", BOOTSTRAP, str(listener.fileno()), str(os.getpid())],
                    stdin=subprocess.PIPE,  # closes when this process dies, however it dies
                    stdout=subprocess.PIPE,  # says "ready"
                    stderr=log,
                    pass_fds=[listener.fileno()],
                    env=_server_environment(),
                    start_new_session=True,  # Ctrl-C is ours: the run's end has yet to be recorded
                )

    def is_ready(self) -> bool:
        """Say whether `wait_until_ready` would return at once."""
        assert self._process.stdout is not None
        return self._is_ready or bool(select.select([self._process.stdout], [], [], 0)[0])

    def wait_until_ready(self, timeout_seconds: float = 120.0) -> str:
        """Wait until the database is upgraded and the API answers; return its URL.

        Raises:
            EmbeddedServerError: The server ended, or was not ready in time.
        """
        assert self._process.stdout is not None
        if self._is_ready:
            return self.api_url
        if not select.select([self._process.stdout], [], [], timeout_seconds)[0]:
            raise self._error(f"was not ready within {timeout_seconds:g} seconds")
        if self._process.stdout.readline() != b"ready\n":
            code = self._process.wait()
            raise self._error(f"ended with exit code {code} before it was ready")
        self._is_ready = True
        return self.api_url

    def stop(self) -> None:
        """Let the server record what this process has sent, and end it.

        Call it outside of an event loop, when no flow runs any more. A database upgrade that has
        begun is finished first.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if self._process.stdin.closed:
            return  # stopped before
        _send_what_prefect_holds_back()
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            self._process.stdin.write(b"stop\n")  # heard even if a forked child holds the pipe
            self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _error(self, what: str) -> EmbeddedServerError:
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(min(self._log_start, self.log.stat().st_size))
            last = log.read().splitlines()[-15:]
        return EmbeddedServerError(
            f"{self.log}: the embedded Prefect server (process {self._process.pid}) {what}. "
            "Run `prefect server start` and set PREFECT_API_URL to the address that it prints, "
            "or run without Prefect: `prefect-torch run --local`. "
            "Its last lines:\n" + ("\n".join(last) or "(none)")
        )


def _send_what_prefect_holds_back() -> None:
    """Send the log lines and task-run events that Prefect's background threads still hold."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # "Still processing items", on its way to the person
    try:
        if "prefect.logging.handlers" in sys.modules:
            from prefect.logging.handlers import APILogWorker

            APILogWorker.drain_all(timeout=STOP_SECONDS)
        if "prefect.events.worker" in sys.modules:
            from prefect.events.worker import EventsWorker

            EventsWorker.drain_all(timeout=STOP_SECONDS)
    finally:
        logging.disable(before)


def _server_environment() -> dict[str, str]:
    """Return this process's environment and what makes a server for one run start sooner."""
    environment = dict(os.environ)
    environment.pop("PREFECT_API_URL", None)
    for keys, names in OFF_UNLESS_ASKED:
        if configured(keys, names) is None:
            environment[names[0]] = "false"
    # Both names of one setting, so that ours counts, whichever the person uses.
    return environment | {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT_UI_ENABLED": "false"}


def _open_log(path: Path) -> BinaryIO:
    log = path.open("ab")
    if log.tell() > LOG_BYTES:
        log.truncate(0)
        log.seek(0)
    return log


def main() -> None:
    """Serve Prefect's API on the socket that the parent hands over, until the parent is gone."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    report = os.dup(1)
    os.dup2(2, 1)  # whatever prints goes to the log
    servers: list[uvicorn.Server] = []
    threading.Thread(target=_end_with, args=(parent, servers), daemon=True).start()
    gc.disable()  # a third of the time of importing Prefect's server and upgrading the database

    from filelock import FileLock

    lock = FileLock(prefect_home() / "prefect-torch" / "embedded-server.lock")

    def ready() -> None:
        lock.release()
        os.write(report, b"ready\n")
        os.close(report)
        gc.enable()
        gc.freeze()

    server = _server(ready)
    with lock:  # SQLite alone lets upgrades that start at once fail; released when ready
        servers.append(server)
        server.run(sockets=[socket.socket(fileno=descriptor)])


def _end_with(parent: int, servers: list[uvicorn.Server]) -> None:
    """Wait until the parent says so or is gone, then end the server gracefully."""
    while os.getppid() == parent:
        if select.select([0], [], [], 1.0)[0]:  # told to stop, or all who could tell are gone
            break
    if not servers:
        os._exit(0)  # still importing: nothing has been touched
    servers[0].should_exit = True


def _server(ready: Callable[[], None]) -> uvicorn.Server:
    """Return a uvicorn server for Prefect's API that calls `ready` when it answers."""
    import asyncio

    import uvicorn
    from prefect.server.api.server import create_app

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Prefect drops the events that its services have not yet fetched when they stop.
            for _ in range(int(STOP_SECONDS / 2 / 0.05)):
                await asyncio.sleep(0.05)
                if not _waiting_events():
                    break
            await super().shutdown(sockets)

    app = create_app(ephemeral=True, final=True)
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=5)
    return Server(config)


def _waiting_events() -> int:
    from prefect.server.utilities.messaging.memory import Topic

    return sum(
        subscription._queue.qsize() + subscription._retry.qsize()
        for topic in Topic._topics.values()
        for subscription in topic._subscriptions
    )

"""A Prefect server of our own, for the run of somebody who has configured none.

It starts in the background at once, on Prefect's own database, and ends with this process. `main`
is what the server's process runs; everything before it is for the process that wants a server.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from prefect_torch.errors import PrefectTorchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
OFF_UNLESS_ASKED = {
    ("server", "analytics_enabled"): ("PREFECT_SERVER_ANALYTICS_ENABLED",),
    ("server", "register_blocks_on_start"): (
        "PREFECT_SERVER_REGISTER_BLOCKS_ON_START",
        "PREFECT_API_BLOCKS_REGISTER_ON_START",
    ),
    ("server", "memoize_block_auto_registration"): (
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION",
        "PREFECT_MEMOIZE_BLOCK_AUTO_REGISTRATION",
    ),
}


class EmbeddedServerError(PrefectTorchError):
    """The embedded Prefect server did not become ready; the message ends with its log."""


def is_server_configured() -> bool:
    """Say whether Prefect's settings name an API, without importing Prefect (0.02 s, not 2).

    Looks where Prefect looks, in its order: the environment, `.env`, `prefect.toml`,
    `pyproject.toml`, the active profile. An empty value counts as none.
    """
    return bool(_configured(("api", "url"), ("PREFECT_API_URL",)))


def prefect_home() -> Path:
    """Return the folder that Prefect keeps its database and profiles in."""
    return Path(_configured(("home",), ("PREFECT_HOME",)) or "~/.prefect").expanduser()


class EmbeddedServer:
    """A Prefect API on a free port of this machine, in a process that ends with this one.

    ```python
    with EmbeddedServer() as server, use(server.api_url):
        ...  # check the spec, import torch and Prefect
        server.wait_until_ready()
        flow()
    ```
    """

    def __init__(self) -> None:
        """Start the server and return at once; `api_url` is final, but answers only when ready."""
        folder = prefect_home() / "prefect-torch"
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "embedded-server.log"
        """What the server prints; later runs append to it, up to a mebibyte."""
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

    def wait_until_ready(self, timeout_seconds: float = 120.0) -> str:
        """Wait until the database is upgraded and the API answers; return its URL.

        Raises:
            EmbeddedServerError: The server ended, or was not ready in time.
        """
        assert self._process.stdout is not None
        until = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, until - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise self._error(f"was not ready within {timeout_seconds:g} seconds")
            if self._process.stdout.readline() == b"ready\n":
                return self.api_url
            code = self._process.wait()
            raise self._error(f"ended with exit code {code} before it was ready")

    def stop(self) -> None:
        """Let the server record what this process has sent, and end it.

        Call it outside of an event loop, when no flow runs any more. A database upgrade that has
        begun is finished first.
        """
        _send_what_prefect_holds_back()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
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


@contextlib.contextmanager
def use(api_url: str) -> Iterator[None]:
    """Point the Prefect of this process, and of those it starts, at `api_url`; profiles stay.

    Best entered before Prefect is imported, since its background threads read the settings of
    that moment.
    """
    values = {"PREFECT_API_URL": api_url}
    if _configured(*_analytics()) is None:
        values["DO_NOT_TRACK"] = os.environ.get("DO_NOT_TRACK", "1")
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        with _settings_of_imported_prefect(api_url):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def quiet_console() -> Iterator[None]:
    """Keep Prefect's lines below WARNING off the terminal; the API still gets them all.

    Imports Prefect.
    """
    import logging

    import prefect.main  # noqa: F401 - configures the logging
    from prefect.logging.handlers import PrefectConsoleHandler

    names = ["", *(name for name in logging.root.manager.loggerDict)]
    handlers = {
        handler: handler.level
        for name in names
        for handler in logging.getLogger(name).handlers
        if isinstance(handler, PrefectConsoleHandler)
    }
    for handler in handlers:
        handler.setLevel(max(handler.level, logging.WARNING))
    try:
        yield
    finally:
        for handler, level in handlers.items():
            handler.setLevel(level)


@contextlib.contextmanager
def without_heartbeats() -> Iterator[None]:
    """Run flows without heartbeats: nobody watches those of a server that ends with the run.

    Prefect waits for the thread that sends them, about a second for each flow run. What the
    person has configured stays. Imports Prefect.
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings
    from prefect.settings.context import temporary_settings

    with contextlib.ExitStack() as stack:
        if "heartbeat_frequency" not in get_current_settings().flows.model_fields_set:
            stack.enter_context(temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}))
        yield


def _settings_of_imported_prefect(api_url: str) -> contextlib.AbstractContextManager[Any]:
    if "prefect.context" not in sys.modules:
        return contextlib.nullcontext()
    from prefect.settings import PREFECT_API_URL
    from prefect.settings.context import temporary_settings

    return temporary_settings({PREFECT_API_URL: api_url})


def _send_what_prefect_holds_back() -> None:
    """Send the log lines and task-run events that Prefect's background threads still hold."""
    if "prefect.logging.handlers" in sys.modules:
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all(timeout=STOP_SECONDS)
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker

        EventsWorker.drain_all(timeout=STOP_SECONDS)


def _analytics() -> tuple[tuple[str, ...], tuple[str, ...]]:
    keys = ("server", "analytics_enabled")
    return keys, OFF_UNLESS_ASKED[keys]


def _server_environment() -> dict[str, str]:
    """Return this process's environment and what makes a server for one run start sooner."""
    environment = dict(os.environ)
    environment.pop("PREFECT_API_URL", None)
    for keys, names in OFF_UNLESS_ASKED.items():
        if _configured(keys, names) is None:
            environment[names[0]] = "false"
    # Both names of one setting: the second one would win over a first one of the person's.
    return environment | {"PREFECT_SERVER_UI_ENABLED": "false", "PREFECT_UI_ENABLED": "false"}


def _open_log(path: Path) -> Any:
    log = path.open("ab")
    if log.tell() > LOG_BYTES:
        log.truncate(0)
        log.seek(0)
    return log


def _configured(keys: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """Return a setting of Prefect's as the person has written it, or None where nobody has.

    Args:
        keys: Where it stands in `prefect.toml`, and below `[tool.prefect]` in `pyproject.toml`.
        names: Its environment variables, which profiles use as well.
    """
    for source in (os.environ, _dotenv()):
        upper = {name.upper(): value for name, value in source.items()}
        for name in names:
            if upper.get(name) is not None:
                return upper[name]
    for path, header in (("prefect.toml", ()), ("pyproject.toml", ("tool", "prefect"))):
        value: Any = _toml(Path(path))
        for key in (*header, *keys):
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    if keys == ("profiles_path",):
        return None
    return next((value for name in names if (value := _profile().get(name)) is not None), None)


def _profile() -> dict[str, Any]:
    """Return the active profile, empty for the ones that Prefect brings along.

    An unreadable file counts as none, as it does for Prefect, which warns of it.
    """
    path = _configured(("profiles_path",), ("PREFECT_PROFILES_PATH",))
    home = os.environ.get("PREFECT_HOME") or "~/.prefect"
    try:
        profiles = _toml(Path(path) if path else Path(home).expanduser() / "profiles.toml")
    except PrefectTorchError:
        return {}
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    return dict(profiles.get("profiles", {}).get(active, {}))


def _dotenv() -> Mapping[str, str | None]:
    if not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values

    return dotenv_values(".env")


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise PrefectTorchError(
            f"{path}: not TOML ({error}); Prefect takes its settings from there: correct the file"
        ) from error


def main() -> None:
    """Serve Prefect's API on the socket that the parent hands over, until the parent is gone."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    report = os.dup(1)
    os.dup2(2, 1)  # whatever prints goes to the log
    servers: list[Any] = []
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
    with lock:  # one at a time upgrades the database; released when ready
        servers.append(server)
        server.run(sockets=[socket.socket(fileno=descriptor)])


def _end_with(parent: int, servers: list[Any]) -> None:
    """Wait until the parent closes our input or is gone, then end the server gracefully."""
    while os.getppid() == parent:
        if select.select([0], [], [], 1.0)[0]:  # nothing is ever sent: this is the end of it
            break
    if not servers:
        os._exit(0)  # still importing: nothing has been touched
    servers[0].should_exit = True


def _server(ready: Any) -> Any:
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

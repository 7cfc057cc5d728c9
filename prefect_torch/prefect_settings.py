"""What Prefect is told in this process, and what the person has told it, read without Prefect.

Importing Prefect takes a second or more; a terminal that has yet to decide whether it needs a
server cannot wait for that. `embedded_server.py` is the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prefect_torch.errors import PrefectTorchError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Setting = tuple[tuple[str, ...], tuple[str, ...]]
"""Where a setting stands in prefect.toml, and its names in the environment and in profiles."""

ANALYTICS: Setting = (("server", "analytics_enabled"), ("PREFECT_SERVER_ANALYTICS_ENABLED",))
API_URL: Setting = (("api", "url"), ("PREFECT_API_URL",))
HOME: Setting = (("home",), ("PREFECT_HOME",))
PROFILES_PATH: Setting = (("profiles_path",), ("PREFECT_PROFILES_PATH",))
YES = ("true", "1", "yes", "on", "t", "y")


def is_server_configured() -> bool:
    """Say whether Prefect's settings name an API, without importing Prefect.

    Looks where Prefect looks, in its order: the environment, `.env`, `prefect.toml`,
    `pyproject.toml`, the active profile. An empty value counts as none.
    """
    return bool(configured(*API_URL))


def prefect_home() -> Path:
    """Return the folder that Prefect keeps its database and profiles in."""
    return Path(configured(*HOME) or "~/.prefect").expanduser()


def configured(keys: tuple[str, ...], names: tuple[str, ...]) -> Any:
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
    if keys == PROFILES_PATH[0]:
        return None  # a profile cannot say where profiles are
    return next((value for name in names if (value := _profile().get(name)) is not None), None)


@contextlib.contextmanager
def use(api_url: str) -> Iterator[None]:
    """Point the Prefect of this process, and of those it starts, at `api_url`; profiles stay.

    Best entered before Prefect is imported, since its background threads read the settings of
    that moment.
    """
    values = {"PREFECT_API_URL": api_url}
    if str(configured(*ANALYTICS)).lower() not in YES:
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
    import prefect.main  # noqa: F401 - configures the logging
    from prefect.logging.handlers import PrefectConsoleHandler

    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = {
        handler: handler.level
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
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


def _profile() -> dict[str, Any]:
    """Return the active profile, empty for the ones that Prefect brings along.

    An unreadable file counts as none, as it does for Prefect, which warns of it.
    """
    path = configured(*PROFILES_PATH)
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

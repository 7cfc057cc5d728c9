"""Reading the person's Prefect settings without Prefect gives what Prefect itself reads."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_torch.errors import PrefectTorchError
from prefect_torch.prefect_settings import (
    is_server_configured,
    prefect_home,
    quiet_console,
    use,
    without_heartbeats,
)

URL = "http://127.0.0.1:4999/api"
PROFILE = f"""
active = "mine"
[profiles.mine]
PREFECT_API_URL = "{URL}"
[profiles.other]
PREFECT_LOGGING_LEVEL = "DEBUG"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    return tmp_path


Setup = Callable[[Path, pytest.MonkeyPatch], object]
SETUPS: dict[str, tuple[bool, Setup]] = {
    "nothing": (False, lambda folder, patch: None),
    "environment": (True, lambda folder, patch: patch.setenv("PREFECT_API_URL", URL)),
    "dotenv": (True, lambda folder, patch: (folder / ".env").write_text(f"PREFECT_API_URL={URL}")),
    "prefect.toml": (
        True,
        lambda folder, patch: (folder / "prefect.toml").write_text(f'[api]\nurl = "{URL}"'),
    ),
    "pyproject": (
        True,
        lambda folder, patch: (folder / "pyproject.toml").write_text(
            f'[tool.prefect.api]\nurl = "{URL}"'
        ),
    ),
    "profile": (
        True,
        lambda folder, patch: (folder / "home" / "profiles.toml").write_text(PROFILE),
    ),
    "other profile": (
        False,
        lambda folder, patch: (
            (folder / "home" / "profiles.toml").write_text(PROFILE),
            patch.setenv("PREFECT_PROFILE", "other"),
        ),
    ),
    "unknown profile": (
        False,
        lambda folder, patch: (
            (folder / "home" / "profiles.toml").write_text(PROFILE),
            patch.setenv("PREFECT_PROFILE", "gone"),
        ),
    ),
    "empty environment over profile": (
        False,
        lambda folder, patch: (
            (folder / "home" / "profiles.toml").write_text(PROFILE),
            patch.setenv("PREFECT_API_URL", ""),
        ),
    ),
    "profiles elsewhere": (
        True,
        lambda folder, patch: (
            (folder / "profiles-of-mine.toml").write_text(PROFILE),
            (folder / "prefect.toml").write_text('profiles_path = "profiles-of-mine.toml"'),
        ),
    ),
}


@pytest.mark.parametrize("name", SETUPS)
def test_a_server_is_configured_where_prefect_would_find_one(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import Settings

    expected, prepare = SETUPS[name]
    prepare(folder, monkeypatch)

    assert is_server_configured() is expected
    assert bool(Settings().api.url) is expected


def test_the_home_is_where_prefect_has_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import Settings

    assert prefect_home() == Settings().home == folder / "home"
    monkeypatch.delenv("PREFECT_HOME")
    assert prefect_home() == Settings().home == Path.home() / ".prefect"


def test_a_broken_settings_file_is_named(folder: Path) -> None:
    (folder / "prefect.toml").write_text("[api\n")

    with pytest.raises(PrefectTorchError, match=r"prefect\.toml: not TOML"):
        is_server_configured()


def test_the_url_counts_inside_and_is_forgotten_outside() -> None:
    from prefect.settings import PREFECT_API_URL

    with use(URL):
        assert (os.environ["PREFECT_API_URL"], PREFECT_API_URL.value()) == (URL, URL)
    assert "PREFECT_API_URL" not in os.environ
    assert PREFECT_API_URL.value() is None


def test_nobody_is_tracked_unless_they_have_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DO_NOT_TRACK")
    with use(URL):
        assert os.environ["DO_NOT_TRACK"] == "1"
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    with use(URL):
        assert "DO_NOT_TRACK" not in os.environ


def test_a_quiet_console_shows_warnings_alone_until_it_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from prefect.logging import get_logger
    from prefect.logging.handlers import PrefectConsoleHandler

    handler = PrefectConsoleHandler()
    logger = get_logger("quiet-test")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        with quiet_console():
            logger.info("one")
            logger.warning("two")
        logger.info("three")
    finally:
        logger.removeHandler(handler)

    shown = capsys.readouterr().err
    assert [word for word in ("one", "two", "three") if word in shown] == ["two", "three"]


def test_heartbeats_are_off_unless_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY
    from prefect.settings.context import temporary_settings

    with without_heartbeats():
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}), without_heartbeats():
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() == 60

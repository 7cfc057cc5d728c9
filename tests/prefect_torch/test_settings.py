from pathlib import Path

import pytest

from prefect_torch.errors import SpecError
from prefect_torch.settings import load_settings

STORE = "PREFECT_INTEGRATIONS_TORCH_STORE"
MODULES = "PREFECT_INTEGRATIONS_TORCH_TRUSTED_MODULES"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (STORE, MODULES, "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(home))
    monkeypatch.chdir(work)
    return home


def test_without_settings_the_store_lies_in_prefects_home(home: Path) -> None:
    settings = load_settings()
    assert (settings.store, settings.trusted_modules) == (home / "torch", ())


def test_the_first_place_that_says_something_wins(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "profiles.toml").write_text(
        f'active = "a"\n[profiles.a]\n{STORE} = "/profile"\n[profiles.b]\n{STORE} = "/b"\n'
    )
    assert load_settings().store == Path("/profile")
    monkeypatch.setenv("PREFECT_PROFILE", "b")
    assert load_settings().store == Path("/b")
    Path("pyproject.toml").write_text('[tool.prefect.integrations.torch]\nstore = "/pyproject"\n')
    assert load_settings().store == Path("/pyproject")
    Path("prefect.toml").write_text('[integrations.torch]\nstore = "/prefect"\n')
    assert load_settings().store == Path("/prefect")
    monkeypatch.setenv(STORE, "/environment")
    assert load_settings().store == Path("/environment")


def test_modules_are_a_list_or_text_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("prefect.toml").write_text('[integrations.torch]\ntrusted_modules = ["a", "b.c"]\n')
    assert load_settings().trusted_modules == ("a", "b.c")
    monkeypatch.setenv(MODULES, "x, y.z,")
    assert load_settings().trusted_modules == ("x", "y.z")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[integrations.torch]\nstore = 3\n", "prefect.toml: store: found 3"),
        ("[integrations.torch]\ntrusted_modules = 3\n", "trusted_modules: found 3"),
        ('[integrations.torch]\ntrusted_modules = ["a b"]\n', "'a b' is no module name"),
        ("[integrations]\ntorch = 3\n", "integrations.torch: found 3; expected a table"),
        ("[integrations\n", "prefect.toml: is not TOML"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_file(text: str, said: str) -> None:
    Path("prefect.toml").write_text(text)
    with pytest.raises(SpecError) as caught:
        load_settings()
    assert said in str(caught.value)

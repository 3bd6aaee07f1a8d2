"""Settings: where they come from, which wins, and what an operator is told about a wrong one."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.config import PREFIX, Settings, load
from service.errors import ConfigurationError
from service.stages import Stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"

_ROW = re.compile(r"^\| `(VECFERRY_\w+)` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def _told(**overrides: object) -> str:
    with pytest.raises(ConfigurationError) as raised:
        load(**overrides)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def _file(path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text(text)
    monkeypatch.setenv("VECFERRY_CONFIG", str(path))


def test_the_page_lists_every_setting_with_its_default() -> None:
    """docs/configuration.md says what the code does: names, defaults and meanings."""
    section = PAGE.read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = {name: (default, meaning) for name, default, meaning in _ROW.findall(section)}
    assert list(rows) == [PREFIX + name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default, meaning = rows[PREFIX + name.upper()]
        assert meaning == field.description
        if field.default_factory is not None:
            assert default == "per user"
        elif field.default is None:
            assert default == "unset"
        else:
            assert default == f"`{field.default}`"


def test_without_anything_set_both_engines_are_our_own() -> None:
    """The defaults start without a question."""
    settings = load()
    assert (settings.qdrant_url, settings.database_url) == (None, None)
    assert settings.uses_source


def test_the_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument beats the environment, which beats the file, which beats the default."""
    _file(tmp_path / "v.toml", "port = 1\ncontrol_port = 2\nfreeze_queue = 3\n", monkeypatch)
    monkeypatch.setenv("VECFERRY_PORT", "4")
    monkeypatch.setenv("VECFERRY_CONTROL_PORT", "5")
    settings = load(port=6)
    found = (settings.port, settings.control_port, settings.freeze_queue, settings.shadow_queue)
    assert found == (6, 5, 3, 256)


def test_an_argument_that_was_not_given_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """``None`` is how the command line says "not given"."""
    monkeypatch.setenv("VECFERRY_PORT", "4")
    assert load(port=None).port == 4


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose files write ``NAME: ${NAME:-}``."""
    monkeypatch.setenv("VECFERRY_QDRANT_URL", "")
    monkeypatch.setenv("VECFERRY_PORT", "")
    settings = load()
    assert (settings.qdrant_url, settings.port) == (None, 6343)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("QDRANT_UR", "http://q", "no such setting"),
        ("PORT", "many", "valid integer"),
        ("PORT", "70000", "65535"),
        ("PORT", "-1", "0"),
        ("FREEZE_SECONDS", "0", "greater than 0"),
        ("SHADOW_SAMPLE_RATE", "1.5", "less than or equal to 1"),
        ("BACKFILL_PAGE_SIZE", "10001", "10000"),
        ("DATABASE_TRANSACTION_POOLER", "perhaps", "boolean"),
        ("LOG_LEVEL", "loud", "'debug'"),
        ("DEFAULT_STAGE", "live", "off, dualwrite or complete"),
        ("DEFAULT_STAGE", "onwards", "'off'"),
        ("QDRANT_URL", "qdrant:6333", "http://"),
        ("QDRANT_URL", "http://", "http://host"),
        ("QDRANT_URL", "ftp://q", "http://"),
        ("QDRANT_URL", "http://q:70000", "ort"),
        ("QDRANT_URL", "http://user:word@q", "no user"),
        ("QDRANT_URL", "http://q?x=1", "query"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("TENANT_HEADER", "X Tenant", "HTTP header"),
        ("TENANT_HEADER", "X-Tenant:", "HTTP header"),
        ("TENANT_HEADER", "X-Mieter-Ä", "HTTP header"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(
    name: str, value: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line begins with the variable's name and says what is expected."""
    monkeypatch.setenv(PREFIX + name, value)
    told = _told()
    assert told.startswith(f"{PREFIX}{name}: ")
    assert reason in told


def test_two_servers_cannot_share_a_port() -> None:
    """The message names the setting to change; 0 is any free port, twice."""
    assert _told(port=7000, control_port=7000).startswith("VECFERRY_CONTROL_PORT: ")
    assert load(port=0, control_port=0).port == 0


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in the path must not mean "all defaults"."""
    monkeypatch.setenv("VECFERRY_CONFIG", "/nowhere/v.toml")
    assert _told() == "VECFERRY_CONFIG: no file at /nowhere/v.toml"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port = ", "v.toml"),
        ("qdrant_ulr = 'http://q'", "no such setting: qdrant_ulr"),
        ("[proxy]\nport = 1", "no such setting: proxy"),
    ],
)
def test_a_broken_file_is_named(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither bad syntax nor an unknown key is passed over."""
    _file(tmp_path / "v.toml", text, monkeypatch)
    told = _told()
    assert told.startswith("VECFERRY_CONFIG: ")
    assert reason in told


def test_a_wrong_value_in_the_file_is_named_like_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both places share the names."""
    _file(tmp_path / "v.toml", "port = 'x'", monkeypatch)
    assert _told().startswith("VECFERRY_PORT: ")


def test_secrets_are_masked() -> None:
    """Neither the key nor the password in the DSN is in anything that is printed."""
    settings = load(qdrant_api_key="hush", database_url="postgresql://u:hush@h/d")
    assert "hush" not in repr(settings) + str(settings.model_dump())
    assert settings.qdrant_api_key == SecretStr("hush")


def test_a_wrong_secret_is_not_repeated() -> None:
    """The message about a bad DSN does not print it."""
    assert "hush" not in _told(database_url="mysql://u:hush@h/d")


def test_variables_of_the_tests_are_not_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """``VECFERRY_TEST_*`` names servers to test against."""
    monkeypatch.setenv("VECFERRY_TEST_ANYTHING", "x")
    assert load().port == 6343


def test_a_trailing_slash_of_the_source_is_dropped() -> None:
    """Paths are appended to it."""
    assert load(qdrant_url="http://q:6333/base/").qdrant_url == "http://q:6333/base"


@pytest.mark.parametrize(
    ("stage", "url", "uses"),
    [
        (Stage.OFF, None, True),
        (Stage.COMPLETE, None, False),
        (Stage.COMPLETE, "http://q", True),
    ],
)
def test_when_there_is_a_source(stage: Stage, url: str | None, uses: bool) -> None:
    """Without a URL there is an embedded one, unless everything new starts on Postgres alone."""
    assert load(default_stage=stage, qdrant_url=url).uses_source is uses


def test_settings_do_not_change() -> None:
    """What was read at start holds."""
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1

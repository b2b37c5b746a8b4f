"""What uv takes over from pip and from the machine."""

import os
import sys
from pathlib import Path

import pytest

from marvel_assets.utils.uv_settings import uv_settings

PYTHON = Path(sys.executable)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither pip nor uv is configured by this machine."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_", "SSL_", "ALL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def test_pips_index_settings_reach_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: the last index is named by the environment, which wins
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\nindex-url = https://packages.example.org/python\n"
        "extra-index-url =\n  https://one.example.org/python\n  https://two.example.org/python\n"
        "trusted-host = packages.example.org\ncert = /etc/company.pem\nfind-links = /wheels\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_INDEX_URL", "https://nearer.example.org/python")

    # then
    expected = {
        "UV_DEFAULT_INDEX": "https://nearer.example.org/python",
        "UV_INDEX": "https://one.example.org/python https://two.example.org/python",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_INSECURE_HOST": "packages.example.org",
        "UV_FIND_LINKS": "/wheels",
        "SSL_CERT_FILE": "/etc/company.pem",
    }
    assert expected.items() <= uv_settings(PYTHON, tmp_path).items()


def test_what_the_user_has_set_for_uv_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example.org/python")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example.org/python")

    # then
    assert "UV_DEFAULT_INDEX" not in uv_settings(PYTHON, tmp_path)


@pytest.mark.parametrize(("file", "expected"), [("company.crt", "true"), (None, None)])
def test_the_systems_certificates_are_trusted_where_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str | None, expected: str | None
):
    # given: a store in a folder, as OpenSSL's own variables name it
    (tmp_path / "certs").mkdir()
    if file:
        (tmp_path / "certs" / file).touch()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent.pem"))

    # then
    assert uv_settings(PYTHON, tmp_path).get("UV_SYSTEM_CERTS") == expected


def test_a_cache_folder_that_cannot_be_made_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: /proc takes no folders, from root either
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/1/nothing")

    # then
    assert uv_settings(PYTHON, tmp_path / "cache")["UV_CACHE_DIR"] == str(tmp_path / "cache")

    # and one that can be made is uv's own
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "not" / "yet"))
    assert "UV_CACHE_DIR" not in uv_settings(PYTHON, tmp_path / "cache")

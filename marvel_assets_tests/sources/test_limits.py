"""The limits of a download, as the environment sets them."""

import pytest

from marvel_assets.sources.addresses import shown
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.limits import Limits


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOSTS", "MAX_BYTES", "MAX_SECONDS"):
        monkeypatch.delenv(f"MARVEL_SOURCE_{name}", raising=False)


def test_where_nothing_is_set_any_host_may_be_asked_for_2_gib_in_half_an_hour():
    # when
    limits = Limits.from_environment()

    # then
    assert limits == Limits(frozenset(), 2 * 1024**3, 30 * 60)
    assert limits.allow("anywhere.example.com")


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        ("data.example.com", "data.example.com", True),
        (" a.example , Data.Example.com,", "data.example.com", True),
        ("data.example.com", "data.example.com.", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("data.example.com", "example.com", False),
        ("example.com", "data.example.com", False),
        ("example.com", "example.com.evil.example", False),
        ("example.com", "notexample.com", False),
    ],
)
def test_hosts_are_compared_whole(monkeypatch: pytest.MonkeyPatch, hosts: str, host: str, *, allowed: bool):
    # given
    monkeypatch.setenv("MARVEL_SOURCE_HOSTS", hosts)

    # then
    assert Limits.from_environment().allow(host) is allowed


@pytest.mark.parametrize("hosts", ["https://example.com", "example.com/x", "*.example.com", "a@b", "a b", "a\\b"])
def test_what_is_no_host_is_told_with_the_variable(monkeypatch: pytest.MonkeyPatch, hosts: str):
    # given
    monkeypatch.setenv("MARVEL_SOURCE_HOSTS", hosts)

    # then
    with pytest.raises(SourceError, match=r"MARVEL_SOURCE_HOSTS: .* is no host"):
        Limits.from_environment()


@pytest.mark.parametrize("variable", ["MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"])
@pytest.mark.parametrize("given", ["2GB", "-1", "0", "1.5", "1e9", "٣"])
def test_what_is_no_limit_is_told_with_the_variable(monkeypatch: pytest.MonkeyPatch, variable: str, given: str):
    # given
    monkeypatch.setenv(variable, given)

    # then
    with pytest.raises(SourceError, match=f"{variable} is .*expected a whole number above 0"):
        Limits.from_environment()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://example.com/a/x.csv", "https://example.com/a/x.csv"),
        ("https://u:p@example.com:8080/x.csv?sig=1&se=2#f", "https://example.com:8080/x.csv?…"),
        ("https://u:p@ss@example.com/x", "https://example.com/x"),
        ("https://u:p@[::1]:80/x", "https://[::1]:80/x"),
        ("https://u:p/w@example.com/x", "https://… (an address that can't be parsed)"),
        ("http://[::1", "http://… (an address that can't be parsed)"),
        ("://", "://"),
        ("s3://key:secret@bucket/x.csv", "s3://bucket/x.csv"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, told: str):
    # then
    assert shown(url) == told

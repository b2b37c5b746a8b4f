"""Where a download is let: real servers on several addresses of this machine, which stand for hosts."""

import base64
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from marvel_assets.sources.addresses import Endpoint, is_public, may_follow
from marvel_assets.sources.download import download, version_told_by_server
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.limits import Limits
from marvel_assets_tests.servers.scripted import Answer, Served, own_certificate, redirect, serving
from marvel_assets_tests.sources.conftest import CONTENT

FILE = Answer(headers={"Content-Length": str(len(CONTENT)), "ETag": '"1"'}, body=CONTENT)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def servers() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def file_server(servers: ExitStack, host: str = "127.0.0.2") -> Served:
    return servers.enter_context(serving(lambda _: FILE, host))


def redirecting_to(servers: ExitStack, location: str, host: str = "127.0.0.1") -> Served:
    return servers.enter_context(serving(lambda _: redirect(location), host))


def refusal(url: str, folder: Path, limits: Limits = Limits()) -> str:  # noqa: B008 - frozen
    with pytest.raises(SourceError) as refused:
        download(url, folder, limits)
    return str(refused.value)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),  # noqa: S104 - refused, not bound
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:7f00:1::1", False),
        ("2001:0:0:0:0:0:80ff:fffe", False),
    ],
)
def test_only_an_address_of_the_internet_is_public_however_it_is_wrapped(address: str, public: bool):  # noqa: FBT001
    # then
    assert is_public(Endpoint.of(address, 443).address) is public
    assert may_follow(Endpoint.of(address, 443), None) is public


@pytest.mark.parametrize(
    ("own", "to", "allowed"),
    [
        (("93.184.215.14", 443), ("127.0.0.1", 443), False),
        (("93.184.215.14", 443), ("169.254.169.254", 80), False),
        (("93.184.215.14", 443), ("93.184.216.34", 443), True),
        (("10.0.0.1", 80), ("10.0.0.1", 80), True),
        (("10.0.0.1", 80), ("10.0.0.1", 443), True),
        (("10.0.0.1", 80), ("10.0.0.1", 5432), False),
        (("10.0.0.1", 80), ("10.0.0.2", 80), False),
        (("10.0.0.1", 80), ("::ffff:10.0.0.1", 80), True),
        (("10.0.0.1", 80), ("93.184.215.14", 80), True),
    ],
)
def test_from_the_users_own_end_a_redirect_leads_to_itself_or_to_the_internet(
    own: tuple[str, int],
    to: tuple[str, int],
    allowed: bool,  # noqa: FBT001
):
    # then
    assert may_follow(Endpoint.of(*to), Endpoint.of(*own)) is allowed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_private_host_that_the_user_names_is_asked(servers: ExitStack, tmp_path: Path, host: str):
    # given
    served = file_server(servers, host)

    # then
    assert download(f"{served.url}/x.csv", tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "127.0.0.1"])
def test_a_redirect_to_another_private_end_is_refused_before_it_is_asked(servers: ExitStack, tmp_path: Path, host: str):
    # given
    inside = file_server(servers, host)
    outside = redirecting_to(servers, f"{inside.url}/secret.csv")

    # when
    told = refusal(f"{outside.url}/x.csv", tmp_path)

    # then
    assert told.startswith(
        f"{outside.url}/x.csv: can't be downloaded: the server redirects to {host} port {inside.port}"
    )
    assert "set MARVEL_SOURCE to where it leads" in told
    assert inside.asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("notation", ["2130706434", "0x7f000002", "0177.0.0.2", "127.2", "[::ffff:127.0.0.2]"])
def test_another_notation_of_the_address_does_not_help(servers: ExitStack, tmp_path: Path, notation: str):
    # given
    inside = file_server(servers)
    outside = redirecting_to(servers, f"http://{notation}:{inside.port}/secret.csv")

    # when
    told = refusal(f"{outside.url}/x.csv", tmp_path)

    # then
    assert "redirects to 127.0.0.2 port" in told or "can't be parsed" in told or "not clear" in told
    assert inside.asked == []


def test_a_name_that_leads_elsewhere_at_the_second_look_does_not_help(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a name server that answers with 127.0.0.1 first, and with 127.0.0.2 from then on
    outside = servers.enter_context(serving(lambda _: redirect("/again.csv"), "127.0.0.1"))
    inside = servers.enter_context(serving(lambda _: FILE, "127.0.0.2", outside.port))
    looked_up, resolve = [], socket.getaddrinfo

    def rebinding(host: str, *rest: object, **options: object) -> object:
        if host != "data.example.com":
            return resolve(host, *rest, **options)  # type: ignore[arg-type]
        looked_up.append(host)
        return resolve("127.0.0.1" if len(looked_up) == 1 else "127.0.0.2", *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    # when
    told = refusal(f"http://data.example.com:{outside.port}/x.csv", tmp_path)

    # then
    assert "the server redirects to 127.0.0.2 port" in told
    assert (len(looked_up), inside.asked) == (2, [])


def test_a_redirect_within_the_users_own_server_is_followed(servers: ExitStack, tmp_path: Path):
    # given
    served = servers.enter_context(serving(lambda path: FILE if path == "/there.csv" else redirect("/there.csv")))

    # then
    assert download(f"{served.url}/x.csv", tmp_path).read_bytes() == CONTENT
    assert served.asked == ["/x.csv", "/there.csv"]


def test_a_look_at_the_version_is_led_no_further_than_a_download(servers: ExitStack):
    # given
    inside = file_server(servers)
    outside = redirecting_to(servers, f"{inside.url}/secret.csv")

    # then
    with pytest.raises(SourceError, match=r"can't be reached: the server redirects to 127.0.0.2"):
        version_told_by_server(f"{outside.url}/x.csv")
    assert inside.asked == []


def test_redirects_without_end_are_followed_ten_times(servers: ExitStack, tmp_path: Path):
    # given
    served = redirecting_to(servers, "/x.csv")

    # then
    assert "more than 10 redirects" in refusal(f"{served.url}/x.csv", tmp_path)
    assert len(served.asked) == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x.csv", "data:text/csv,x", "gopher://x/"])
def test_a_redirect_to_another_scheme_is_refused(servers: ExitStack, tmp_path: Path, location: str):
    # given
    served = redirecting_to(servers, location)

    # when
    told = refusal(f"{served.url}/x.csv", tmp_path)

    # then
    assert f"the server redirects to {location.partition(':')[0]}:, and only http: and https: are followed" in told


def test_a_redirect_from_https_down_to_http_is_refused(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    certificate = own_certificate(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    plain = file_server(servers, "127.0.0.1")
    secure = servers.enter_context(
        serving(lambda _: redirect(f"{plain.url}/x.csv?key=secret"), certificate=certificate)
    )

    # when
    told = refusal(f"{secure.url}/x.csv", tmp_path)

    # then
    assert f"the server redirects from https: down to {plain.url}/x.csv?…, where anybody may listen" in told
    assert plain.asked == []


def test_https_is_read_where_the_certificate_is_trusted_and_refused_where_not(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    certificate = own_certificate(tmp_path)
    secure = servers.enter_context(serving(lambda _: FILE, certificate=certificate))

    # then
    assert "certificate" in refusal(f"{secure.url}/x.csv", tmp_path).lower()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    assert download(f"{secure.url}/x.csv", tmp_path).read_bytes() == CONTENT


def test_a_host_that_is_not_allowed_is_not_asked(servers: ExitStack, tmp_path: Path):
    # given
    served = file_server(servers)

    # when
    told = refusal(f"{served.url}/x.csv", tmp_path, Limits(hosts=frozenset({"data.example.com"})))

    # then
    assert "it is at 127.0.0.2, and MARVEL_SOURCE_HOSTS allows only data.example.com" in told
    assert served.asked == []


def test_a_host_that_is_allowed_is_asked(servers: ExitStack, tmp_path: Path):
    # given
    served = file_server(servers)

    # then
    assert download(f"{served.url}/x.csv", tmp_path, Limits(hosts=frozenset({"127.0.0.2"}))).read_bytes() == CONTENT


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(servers: ExitStack, tmp_path: Path):
    # given: an address of the internet, which is never looked up
    served = redirecting_to(servers, "http://elsewhere.example.com/x.csv")

    # when
    told = refusal(f"{served.url}/x.csv", tmp_path, Limits(hosts=frozenset({"127.0.0.1"})))

    # then
    assert "the server redirects to elsewhere.example.com, and MARVEL_SOURCE_HOSTS allows only 127.0.0.1" in told


def test_an_allowed_host_is_no_way_into_a_private_network(servers: ExitStack, tmp_path: Path):
    # given: the list names both, but only one of them was given by the user
    inside = file_server(servers)
    outside = redirecting_to(servers, f"{inside.url}/x.csv")

    # when
    told = refusal(f"{outside.url}/x.csv", tmp_path, Limits(hosts=frozenset({"127.0.0.1", "127.0.0.2"})))

    # then
    assert "which is no public address" in told
    assert inside.asked == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}@127.0.0.2:{port}/x", "http://127.0.0.1:{port}\\@127.0.0.2/x"])
def test_an_address_that_pretends_to_another_host_is_seen_through(servers: ExitStack, tmp_path: Path, url: str):
    # given
    served = file_server(servers)

    # when
    told = refusal(url.format(port=served.port), tmp_path, Limits(hosts=frozenset({"127.0.0.1"})))

    # then
    assert "allows only 127.0.0.1" in told or "not clear about its host" in told
    assert served.asked == []


def through_a_proxy(servers: ExitStack, monkeypatch: pytest.MonkeyPatch, location: str) -> Served:
    proxy = servers.enter_context(
        serving(lambda url: redirect(location) if url == "http://data.example.com/x.csv" else FILE)
    )
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    return proxy


@pytest.mark.parametrize("location", ["http://127.0.0.1/x", "http://2130706433/x", "http://localhost/x"])
def test_a_proxy_is_not_sent_to_private_addresses_either(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
):
    # given
    proxy = through_a_proxy(servers, monkeypatch, location)

    # when
    told = refusal("http://data.example.com/x.csv", tmp_path)

    # then
    assert "which is no public address" in told
    assert proxy.asked == ["http://data.example.com/x.csv"]


def test_a_name_that_only_the_proxy_knows_is_left_to_it(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    proxy = through_a_proxy(servers, monkeypatch, "http://mirror.invalid/x.csv")

    # then
    assert download("http://data.example.com/x.csv", tmp_path).read_bytes() == CONTENT
    assert len(proxy.asked) == 2


def authorization(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def test_credentials_are_sent_to_the_users_own_server_only(
    servers: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a proxy that stands for the internet, and a user whose ~/.netrc has something for everybody
    netrc = tmp_path / "netrc"
    netrc.write_text("default login anybody password for-all\n")
    monkeypatch.setenv("NETRC", str(netrc))
    internet = through_a_proxy(servers, monkeypatch, "http://mirror.invalid/x.csv")

    # when
    download("http://me:secret@data.example.com/x.csv", tmp_path)

    # then
    assert internet.asked == ["http://data.example.com/x.csv", "http://mirror.invalid/x.csv"]
    assert [sent.get("Authorization") for sent in internet.headers] == [authorization("me", "secret"), None]


def test_credentials_go_along_within_the_users_own_server(servers: ExitStack, tmp_path: Path):
    # given
    served = servers.enter_context(serving(lambda path: FILE if path == "/there.csv" else redirect("/there.csv")))

    # when
    download(f"http://me:secret@127.0.0.1:{served.port}/x.csv", tmp_path)

    # then
    assert [sent["Authorization"] for sent in served.headers] == [authorization("me", "secret")] * 2


def test_credentials_that_a_redirect_brings_are_not_used(servers: ExitStack, tmp_path: Path):
    # given
    served = servers.enter_context(
        serving(
            lambda path: (
                FILE if path == "/there.csv" else redirect(f"http://planted:x@127.0.0.1:{served.port}/there.csv")
            )
        )
    )

    # when
    download(f"{served.url}/x.csv", tmp_path)

    # then
    assert [sent.get("Authorization") for sent in served.headers] == [None, None]


def test_addresses_are_compared_whatever_they_are_wrapped_in():
    # then
    assert Endpoint.of("::ffff:10.0.0.1", 80) == Endpoint(ip_address("10.0.0.1"), 80)

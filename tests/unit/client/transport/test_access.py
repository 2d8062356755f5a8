"""What is shown to a server to be let in: TLS, API keys and secrets, and where they may travel."""

import pytest
from certificates import Authority, openssl

from encserve import (
    AccessDenied,
    Client,
    InvalidInput,
    Retry,
    Tls,
    Unavailable,
    local_admin_secret,
)

from .playing_triton import both


@both
def test_tls(encrypted_port, authority, embed):
    port = encrypted_port()
    assert len(embed(f"localhost:{port}", tls=Tls(ca_file=authority.cert))) == 2
    for refused in (None, Tls()):  # plain; and the public authorities, which do not know ours
        with pytest.raises(Unavailable, match=f"localhost:{port}"):
            embed(f"localhost:{port}", tls=refused, retry=Retry(attempts=1))


@both
def test_the_name_in_the_certificate_counts(encrypted_port, authority, embed):
    port = encrypted_port()
    with pytest.raises(Unavailable, match=r"not match|verif|peer name|Hostname"):
        embed(f"127.0.0.1:{port}", tls=Tls(ca_file=authority.cert, server_name="example.org"), retry=Retry(attempts=1))
    assert len(embed(f"127.0.0.1:{port}", tls=Tls(ca_file=authority.cert, server_name="localhost"))) == 2


@both
def test_mutual_tls(encrypted_port, authority, tmp_path, embed):
    url = f"localhost:{encrypted_port(clients=authority)}"
    ours, theirs = authority.issue("client"), Authority(tmp_path, "stranger").issue("client")
    for refused in (Tls(ca_file=authority.cert), identified(authority, theirs)):
        with pytest.raises(Unavailable):
            embed(url, tls=refused, retry=Retry(attempts=1))
    assert len(embed(url, tls=identified(authority, ours))) == 2


def identified(authority, issued):
    return Tls(ca_file=authority.cert, cert_file=issued.cert, key_file=issued.key)


@both
def test_files_that_are_unfit(authority, tmp_path, embed):
    one, other, empty = authority.issue("one"), authority.issue("other"), tmp_path / "empty"
    empty.touch()
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", one.key, "-out", locked, "-aes128", "-passout", "pass:secret")
    for files, message in [
        ({"ca_file": tmp_path / "absent"}, "ca_file .*absent cannot be read: No such file"),
        ({"ca_file": tmp_path}, "ca_file .* cannot be read: Is a directory"),
        ({"ca_file": empty}, "ca_file .*empty holds no PEM certificate"),
        ({"ca_file": one.key}, "holds no PEM certificate"),
        ({"cert_file": one.cert, "key_file": other.key}, "key_file .*other.key is not the key of .*one.pem"),
        ({"cert_file": one.cert, "key_file": tmp_path / "absent"}, "key_file .*absent cannot be read"),
        ({"cert_file": one.cert, "key_file": locked}, "no PEM certificate and unencrypted private key"),
        ({"cert_file": one.cert}, "has cert_file and no key_file"),
        ({"key_file": one.key}, "has key_file and no cert_file"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            embed("localhost:1", tls=Tls(**files))


@both
def test_an_api_key_goes_with_every_request(triton, url, embed):
    triton.api_key = "right-key"
    assert len(embed(url, api_key="right-key")) == 2
    with pytest.raises(AccessDenied, match=r"no key \(give `api_key=`.*ENCSERVE_API_KEY"):
        embed(url)
    with pytest.raises(AccessDenied, match="the API key that was sent is not valid there") as refused:
        embed(url, api_key="wrong-key")
    assert "wrong-key" not in str(refused.value)
    assert (refused.value.status, len(triton.requests)) == ("UNAUTHENTICATED", 1)


@both
def test_an_api_key_does_not_travel_unencrypted(embed):
    with pytest.raises(InvalidInput, match=r"api_key would travel to 10.0.0.1:8001 unencrypted: give tls=Tls\(\)"):
        embed("10.0.0.1:8001", api_key="secret-key")
    with pytest.raises(InvalidInput, match="api_key must be") as refused:
        embed("localhost:8001", api_key="secret key\n")
    assert "secret" not in str(refused.value)


@both
def test_an_admin_secret_does_not_travel_unencrypted(embed):
    with Client("10.0.0.1:8001", admin_secret="a-secret") as client:
        with pytest.raises(InvalidInput, match=r"admin_secret would travel to 10\.0\.0\.1:8001 unencrypted") as refused:
            client.models(timeout_s=0.1)
        assert "a-secret" not in str(refused.value)


class TestTheSecretOfALocalServer:
    @pytest.fixture
    def shared(self, tmp_path, monkeypatch):
        """A temporary folder that all users share."""
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
        return tmp_path

    @staticmethod
    def leave(folder, secret="right"):
        folder.mkdir(mode=0o700)
        file = folder / "admin_secret_8001"
        file.write_text(secret)
        file.chmod(0o600)
        return file

    def test_it_is_found(self, shared):
        self.leave(shared / "encserve_1_x")
        assert local_admin_secret("localhost:8001") == "right"
        assert local_admin_secret("localhost:8002") is None
        assert local_admin_secret("10.0.0.1:8001") is None

    def test_a_link_is_not_followed(self, shared, tmp_path_factory):
        victim = tmp_path_factory.mktemp("home") / "key"
        victim.write_text("of the victim")
        folder = shared / "encserve_2_y"
        folder.mkdir(mode=0o700)
        (folder / "admin_secret_8001").symlink_to(victim)
        assert local_admin_secret("localhost:8001") is None

    def test_a_linked_folder_is_not_followed(self, shared, tmp_path_factory):
        real = tmp_path_factory.mktemp("home") / "folder"
        self.leave(real)
        (shared / "encserve_3_z").symlink_to(real)
        assert local_admin_secret("localhost:8001") is None

    def test_the_folder_of_another_user_is_not_read(self, shared, monkeypatch):
        self.leave(shared / "encserve_4_w")
        monkeypatch.setattr("os.getuid", lambda: 4_242)
        assert local_admin_secret("localhost:8001") is None

    def test_a_folder_that_others_can_write_to_is_not_read(self, shared):
        self.leave(shared / "encserve_5_v")
        (shared / "encserve_5_v").chmod(0o777)
        assert local_admin_secret("localhost:8001") is None

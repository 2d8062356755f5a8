import pytest
from certificates import Authority, Issued, openssl

from encserve_server.errors import ConfigError
from encserve_server.tls import ServerTls


def server_tls(issued, **others):
    return ServerTls(cert=issued.cert, key=issued.key, **others)


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ("DNS:triton.example.org,DNS:localhost", "triton.example.org"),
        ("IP:10.0.0.7", "10.0.0.7"),
        ("DNS:*.example.org,DNS:example.org", "example.org"),
        ("DNS:*.example.org", "encserve.example.org"),
    ],
)
def test_the_launcher_asks_for_a_name_of_the_certificate(authority, names, name):
    issued = authority.issue("named", names=names)
    client = server_tls(issued).own_client()
    assert (client.ca_file, client.server_name) == (issued.cert, name)


def test_flags(authority):
    one = authority.issue("one")
    assert server_tls(one).flags() == [
        "--grpc-use-ssl=true",
        f"--grpc-server-cert={one.cert}",
        f"--grpc-server-key={one.key}",
    ]
    mutual = server_tls(one, client_ca=authority.cert, probe_cert=one.cert, probe_key=one.key)
    assert mutual.flags()[3:] == ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={authority.cert}"]
    assert mutual.own_client().key_file == one.key


def test_files_that_are_unfit(authority, tmp_path):
    one, other, empty = authority.issue("one"), authority.issue("other"), tmp_path / "empty"
    stranger = Authority(tmp_path, "stranger").issue("stranger_client")
    empty.touch()
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", one.key, "-out", locked, "-aes128", "-passout", "pass:secret")
    expired, nameless = authority.issue("expired", days=-1), authority.issue("nameless", names="")
    mutual = {"client_ca": authority.cert, "probe_cert": one.cert, "probe_key": one.key}
    for tls, message in [
        (server_tls(Issued(tmp_path / "absent", one.key)), "--tls-cert .*absent cannot be read: No such file"),
        (server_tls(Issued(one.cert, tmp_path)), "--tls-key .* cannot be read: Is a directory"),
        (server_tls(Issued(empty, one.key)), "no PEM certificate and unencrypted private key"),
        (server_tls(Issued(one.cert, other.key)), "--tls-key .*other.key is not the key of .*--tls-cert .*one.pem"),
        (server_tls(Issued(one.cert, locked)), "unencrypted private key"),
        (server_tls(expired), "expired.pem does not hold: certificate has expired"),
        (server_tls(nameless), "names no host"),
        (server_tls(one, **{**mutual, "client_ca": empty}), "--tls-client-ca .*empty holds no PEM certificate"),
        (
            server_tls(one, **{**mutual, "probe_cert": stranger.cert, "probe_key": stranger.key}),
            "stranger_client.pem does not hold",
        ),
        (server_tls(one, **{**mutual, "probe_key": other.key}), "--tls-probe-key .*other.key is not the key"),
    ]:
        with pytest.raises(ConfigError, match=message):
            tls.own_client()


def test_what_goes_together(authority):
    one = authority.issue("one")
    with pytest.raises(ConfigError, match="--tls-client-ca needs --tls-probe-cert"):
        server_tls(one, client_ca=authority.cert)
    with pytest.raises(ConfigError, match="--tls-probe-cert and --tls-probe-key go together"):
        server_tls(one, probe_cert=one.cert)

"""TLS of the gRPC port, rehearsed in memory before Triton starts: what Triton says of a bad certificate is little."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from encserve import InvalidInput, Tls
from encserve._transport.tls import show, trust
from encserve_server.errors import ConfigError

MAX_FLIGHTS = 8  # a handshake of TLS 1.3 takes two each way


@dataclass(frozen=True, kw_only=True)
class ServerTls:
    """The certificates of the gRPC port. Triton encrypts no other port. All files are PEM."""

    cert: Path
    """The server's certificate and its chain."""
    key: Path
    """The private key of `cert`, not encrypted."""
    client_ca: Path | None = None
    """The certificates of the authorities whose clients are let in (mutual TLS); None lets in all."""
    probe_cert: Path | None = None
    """A certificate from `client_ca`, with which the launcher asks its own server whether it answers."""
    probe_key: Path | None = None

    def __post_init__(self) -> None:
        if (self.probe_cert is None) != (self.probe_key is None):
            raise ConfigError("--tls-probe-cert and --tls-probe-key go together")
        if self.client_ca is not None and self.probe_cert is None:
            raise ConfigError(
                "--tls-client-ca needs --tls-probe-cert and --tls-probe-key, a certificate from that authority: "
                "without it the launcher cannot ask its own server whether it answers"
            )

    def flags(self) -> list[str]:
        """Return the arguments of `tritonserver`. Its `--help` says that the root certificate goes without TLS, which
        it does not."""
        flags = ["--grpc-use-ssl=true", f"--grpc-server-cert={self.cert}", f"--grpc-server-key={self.key}"]
        if self.client_ca is not None:
            flags += ["--grpc-use-ssl-mutual=true", f"--grpc-root-cert={self.client_ca}"]
        return flags

    def own_client(self) -> Tls:
        """Return how the launcher reaches its own server: it trusts no certificate but the one that it serves.

        Raises:
            ConfigError: a file is missing or unfit, a key is not that of its certificate, a certificate has expired or
                names no host, or the one for probes is not from `client_ca`.
        """
        try:
            name = _name(self._rehearse())
        except InvalidInput as error:
            raise ConfigError(str(error)) from error
        return Tls(ca_file=self.cert, cert_file=self.probe_cert, key_file=self.probe_key, server_name=name)

    def _rehearse(self) -> dict[str, object]:
        """Return the server's certificate as a client sees it that trusts this certificate alone."""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False  # the names are what we want to learn
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        show(server, "--tls-cert", self.cert, "--tls-key", self.key)
        trust(client, "--tls-cert", self.cert)
        if self.client_ca is not None:
            server.verify_mode = ssl.CERT_REQUIRED
            trust(server, "--tls-client-ca", self.client_ca)
        if self.probe_cert is not None and self.probe_key is not None:
            show(client, "--tls-probe-cert", self.probe_cert, "--tls-probe-key", self.probe_key)
        return self._shake_hands(server, client)

    def _shake_hands(self, server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, object]:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        here = client.wrap_bio(to_client, to_server)
        there = server.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(MAX_FLIGHTS):
            for side, file in ((here, self.cert), (there, self.probe_cert)):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
                except ssl.SSLCertVerificationError as error:
                    raise ConfigError(f"the certificate in {file} does not hold: {error.verify_message}") from error
                except ssl.SSLError as error:
                    raise ConfigError(f"{self.cert} does not serve TLS: {error}") from error
        return dict(here.getpeercert() or {})


def _name(certificate: dict[str, object]) -> str:
    """Return a host that the certificate is for, other than a pattern where there is one."""
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]  # type: ignore[attr-defined]
    for name in names:
        if "*" not in name:
            return str(name)
    if names:
        return str(names[0].replace("*", "encserve"))
    raise ConfigError("--tls-cert names no host: clients look for subjectAltName, which it does not have")

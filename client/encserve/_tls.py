"""TLS: which servers to trust, and who we are. The files are checked before a connection is made."""

import ssl
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeAlias

from encserve._errors import InvalidInput

PathLikeStr: TypeAlias = str | PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Tls:
    """How a client encrypts its connection. `Tls()` trusts the public authorities that gRPC knows.

    All files are PEM, read when the client is made.
    """

    ca_file: PathLikeStr | None = None
    """Certificates of the authorities to trust, in place of the public ones."""
    cert_file: PathLikeStr | None = None
    """Our own certificate and its chain, where the server wants to know its clients (mutual TLS)."""
    key_file: PathLikeStr | None = None
    """The private key of `cert_file`, not encrypted."""
    server_name: str = ""
    """The name that the server's certificate must have, where it is not the host of the url."""

    def __post_init__(self) -> None:
        if (self.cert_file is None) != (self.key_file is None):
            missing, given = ("key_file", "cert_file") if self.key_file is None else ("cert_file", "key_file")
            raise InvalidInput(f"tls has {given} and no {missing}; a client certificate needs both")

    def read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        """The contents of `ca_file`, `key_file` and `cert_file`; None for each that is None.

        Raises:
            InvalidInput: a file cannot be read, is not PEM, or the key is not that of the certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ca = key = cert = None
        if self.ca_file is not None:
            ca = _content("ca_file", self.ca_file)
            _trust(context, self.ca_file)
        if self.cert_file is not None and self.key_file is not None:
            cert, key = _content("cert_file", self.cert_file), _content("key_file", self.key_file)
            _show(context, self.cert_file, self.key_file)
        return ca, key, cert


def _content(name: str, path: PathLikeStr) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"tls: {name} {path} cannot be read: {error.strerror}") from error


def _trust(context: ssl.SSLContext, ca_file: PathLikeStr) -> None:
    try:
        context.load_verify_locations(cafile=ca_file)
    except ssl.SSLError as error:
        raise InvalidInput(f"tls: ca_file {ca_file} holds no PEM certificate: {error}") from error


def _show(context: ssl.SSLContext, cert_file: PathLikeStr, key_file: PathLikeStr) -> None:
    try:
        context.load_cert_chain(cert_file, key_file, password=lambda: "")  # else OpenSSL would ask on the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidInput(f"tls: key_file {key_file} is not the key of cert_file {cert_file}") from error
        message = f"tls: {cert_file} and {key_file} are no PEM certificate and unencrypted private key: {error}"
        raise InvalidInput(message) from error

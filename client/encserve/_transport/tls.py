"""TLS: which servers to trust, and how we identify ourselves. The files are checked before a connection is made."""

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
            ca = trust(context, "ca_file", self.ca_file)
        if self.cert_file is not None and self.key_file is not None:
            cert, key = show(context, "cert_file", self.cert_file, "key_file", self.key_file)
        return ca, key, cert


def trust(context: ssl.SSLContext, name: str, file: PathLikeStr) -> bytes:
    """Trust the certificates in a file, which the caller calls `name`. Returns its content. Raises InvalidInput."""
    content = _content(name, file)
    try:
        context.load_verify_locations(cafile=file)
    except ssl.SSLError as error:
        raise InvalidInput(f"{name} {file} holds no PEM certificate: {error}") from error
    return content


def show(
    context: ssl.SSLContext, cert_name: str, cert: PathLikeStr, key_name: str, key: PathLikeStr
) -> tuple[bytes, bytes]:
    """Show a certificate, of which we have the key. Returns the contents of both files. Raises InvalidInput."""
    contents = _content(cert_name, cert), _content(key_name, key)
    try:
        context.load_cert_chain(cert, key, password=lambda: "")  # else OpenSSL would ask for one on the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise InvalidInput(f"{key_name} {key} is not the key of the certificate in {cert_name} {cert}") from error
        raise InvalidInput(
            f"{cert_name} {cert} and {key_name} {key} are no PEM certificate and unencrypted private key: {error}"
        ) from error
    return contents


def _content(name: str, file: PathLikeStr) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{name} {file} cannot be read: {error.strerror}") from error

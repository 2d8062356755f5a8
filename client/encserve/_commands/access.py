"""What a program shows to a server to be let in, and how it encrypts what it says there."""

import os
from dataclasses import dataclass, field

from encserve._transport.tls import PathLikeStr, Tls


@dataclass(frozen=True, kw_only=True)
class Access:
    """The keys and files that open a server. Without any of them, only a server that lets everybody in is open."""

    tls: Tls | None = None
    api_key: str | None = field(default=None, repr=False)
    """The API key of a gateway before the server."""
    admin_secret: str | None = field(default=None, repr=False)
    """The secret of the server, without which it does not list its pipelines. The secret of a server which this user
    runs on this host need not be given."""


def read_access(
    *,
    encrypted: bool,
    ca_file: PathLikeStr | None = None,
    cert_file: PathLikeStr | None = None,
    key_file: PathLikeStr | None = None,
) -> Access:
    """The access that options and environment give. A file of TLS says that the connection is encrypted.

    Secrets come from the environment, `ENCSERVE_API_KEY` and `ENCSERVE_ADMIN_SECRET`: what stands on a command line,
    all users can read.

    Raises:
        InvalidInput: there is a certificate without its key, or a key without its certificate.
    """
    tls = None
    if encrypted or any((ca_file, cert_file, key_file)):
        tls = Tls(ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    return Access(
        tls=tls,
        api_key=os.environ.get("ENCSERVE_API_KEY") or None,
        admin_secret=os.environ.get("ENCSERVE_ADMIN_SECRET") or None,
    )

"""Certificates of our own, made by the `openssl` command: EC keys, so that they take no time."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Issued:
    cert: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.cert = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        openssl("req", "-x509", *NEW_KEY, "-keyout", self._key, "-out", self.cert, "-days", "2", "-subj", f"/CN={name}")

    def issue(self, name: str, *, names: str = "DNS:localhost,IP:127.0.0.1", days: int = 2) -> Issued:
        """A certificate for `names`, in openssl's words; without any where it is empty."""
        issued = Issued(cert=self.folder / f"{name}.pem", key=self.folder / f"{name}.key")
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        openssl("req", *NEW_KEY, "-keyout", issued.key, "-out", request, "-subj", f"/CN={name}")
        signing = ["-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-extfile", extensions]
        openssl("x509", "-req", "-in", request, *signing, "-days", str(days), "-out", issued.cert)
        return issued


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(*arguments: object) -> None:
    """Run it, quietly unless it fails."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Certificates for servers and clients of tests, made by the openssl command."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

OPENSSL = shutil.which("openssl")
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A certificate authority in a directory: `ca.pem`, and what it signs."""

    def __init__(self, place: Path) -> None:
        self._place = place
        place.mkdir()
        self._run(
            "req", "-x509", *_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca"
        )

    def __getitem__(self, name: str) -> str:
        return str(self._place / name)

    def sign(self, name: str, san: str = "IP:127.0.0.1") -> None:
        """Makes `NAME.key` and `NAME.pem`, good for this address."""
        self._sign(name, name, "ca", san)

    def _sign(self, file: str, subject: str, authority: str, san: str = "IP:127.0.0.1") -> None:
        (self._place / "san").write_text(f"subjectAltName={san}")
        self._run("req", *_KEY, "-keyout", f"{file}.key", "-out", f"{file}.csr", "-subj", f"/CN={subject}")
        by = ["-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial", "-extfile", "san"]
        self._run("x509", "-req", "-in", f"{file}.csr", *by, "-out", f"{file}.pem", "-days", "2")

    def chained(self, name: str, password: str | None = None) -> Mapping[str, str]:
        """A certificate for that name from an authority in between: `chain.pem` with both, and its `key`."""
        if not (self._place / "between.pem").exists():
            self.sign("between", "IP:127.0.0.1\nbasicConstraints=critical,CA:TRUE")
        self._sign(f"{name}.chained", name, "between")
        chain = "".join((self._place / f"{each}.pem").read_text() for each in (f"{name}.chained", "between"))
        (self._place / f"{name}.chain.pem").write_text(chain)
        key = f"{name}.chained.key"
        if password is not None:
            key = f"{name}.chained.locked.key"
            self._run("pkey", "-in", f"{name}.chained.key", "-aes128", "-passout", f"pass:{password}", "-out", key)
        return {"chain.pem": self[f"{name}.chain.pem"], "key": self[key]}

    def encrypt(self, name: str) -> None:
        """Makes `NAME.encrypted.key`."""
        self._run("pkey", "-in", f"{name}.key", "-aes128", "-passout", "pass:x", "-out", f"{name}.encrypted.key")

    def _run(self, *arguments: str) -> None:
        subprocess.run([str(OPENSSL), *arguments], cwd=self._place, check=True, capture_output=True, timeout=30)

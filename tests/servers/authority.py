"""Certificates for servers and clients of tests, made by the openssl command."""

import shutil
import subprocess
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
        (self._place / "san").write_text(f"subjectAltName={san}")
        self._run("req", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san"]
        self._run("x509", "-req", "-in", f"{name}.csr", *signing, "-out", f"{name}.pem", "-days", "2")

    def encrypt(self, name: str) -> None:
        """Makes `NAME.encrypted.key`."""
        self._run("pkey", "-in", f"{name}.key", "-aes128", "-passout", "pass:x", "-out", f"{name}.encrypted.key")

    def _run(self, *arguments: str) -> None:
        subprocess.run([str(OPENSSL), *arguments], cwd=self._place, check=True, capture_output=True, timeout=30)

"""A token of SoftHSM2 with the key of a test's certificate: a real PKCS#11 module in its own folder."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

MODULES = [
    Path(folder, "libsofthsm2.so") for folder in ("/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm")
]
MODULE = next((path for path in MODULES if path.exists()), None)
PIN = "geheim-4711"

needs_softhsm = pytest.mark.skipif(
    MODULE is None or shutil.which("softhsm2-util") is None,
    reason="no SoftHSM here (Debian: softhsm2): a signing key in an HSM is not tested",
)


@dataclass(frozen=True)
class SoftHsm:
    """SoftHSM's configuration, and tokens in a folder of the test."""

    folder: Path

    @property
    def tokens(self) -> Path:
        """Where the tokens are; moved away, they are pulled out."""
        return self.folder / "tokens"

    @property
    def config(self) -> Path:
        """What SOFTHSM2_CONF names."""
        return self.folder / "softhsm2.conf"

    @property
    def pin_file(self) -> Path:
        """The file with the PIN."""
        return self.folder / "pin"

    def prepare(self, *lines: str) -> None:
        """Write the configuration and the PIN's file."""
        self.tokens.mkdir(exist_ok=True)
        settings = [f"directories.tokendir = {self.tokens}", "objectstore.backend = file", "log.level = ERROR", *lines]
        self.config.write_text("\n".join(settings) + "\n")
        # Without a newline: libp11, beneath stunnel, takes one for a part of the PIN.
        self.pin_file.write_text(PIN)
        self.pin_file.chmod(0o600)

    def add_token(self, label: str) -> None:
        """Add a token with our PIN."""
        self._util("--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", PIN)

    def add_key(self, token: str, label: str, key: RSAPrivateKey, key_id: str = "01") -> None:
        """Put a private key into a token; it cannot be taken out again."""
        pem = self.folder / "import.pem"
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self._util("--import", str(pem), "--token", token, "--label", label, "--id", key_id, "--pin", PIN)
        pem.unlink()

    def uri(self, path: str = "token=vsync;object=signing") -> str:
        """The value of VSYNC_SIGNING_KEY."""
        return f"pkcs11:{path}?module-path={MODULE}&pin-source=file:{self.pin_file}"

    def _util(self, *arguments: str) -> None:
        environment = {**os.environ, "SOFTHSM2_CONF": str(self.config)}
        subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True, timeout=60, env=environment)

"""Signatures by a private key that stays in an HSM or another PKCS#11 token.

python-pkcs11 calls C_Initialize without locking, and a login counts for all sessions of a process with a token, so
there is one session per token in a process, and one thread at a time uses a module.
"""

import importlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from vsync_dagster.dict_api.errors import HsmPinLockedError, HsmUnavailableError
from vsync_dagster.dict_api.pkcs11_uri import KEY, MODULE, PIN_FILE, Pkcs11Uri
from vsync_dagster.reconcile.errors import EnvironmentVariableError, VsyncError

# RFC 8017, 9.2, note 1: the DER of a DigestInfo for SHA-256, before the 32 bytes of the digest.
_SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


class HsmSigner:
    """Signs bytes (RSA PKCS#1 v1.5 with SHA-256) with a key in a token. Safe to use from several threads.

    Nothing is opened before the first signature. A session that broke is opened again once, for each signature; a PIN
    that was refused is never tried again, since a few wrong ones lock the token.

    Args:
        uri: the key, the module and the PIN's file.
        public_key: of our certificate: each signature is verified with it before it is used.

    Raises:
        EnvironmentVariableError: the binding is not installed, or a file cannot be read.
    """

    def __init__(self, uri: Pkcs11Uri, public_key: RSAPublicKey) -> None:
        self._uri, self._public_key = uri, public_key
        self._pkcs11 = _binding()
        self._module = _module(uri.module)
        _read_pin(uri.pin_file)
        if not uri.module.is_file():
            raise EnvironmentVariableError(f"{MODULE}, or module-path in {KEY}, names a file that is not there")

    def __call__(self, data: bytes) -> bytes:
        """Return the signature of `data`.

        Raises:
            EnvironmentVariableError: the PIN is refused, or there is no such key, or it is not our certificate's.
            HsmPinLockedError: the PIN is locked.
            HsmUnavailableError: the token is not there or fails.
        """
        pin = _read_pin(self._uri.pin_file)
        with self._module.lock:
            signature = self._sign_again_if_broken(data, pin)
        try:
            self._public_key.verify(signature, data, PKCS1v15(), SHA256())
        except InvalidSignature:
            raise EnvironmentVariableError(
                f"{KEY} is the key of another certificate than that of VSYNC_SIGNING_CERT_FILE"
            ) from None
        return signature

    def _sign_again_if_broken(self, data: bytes, pin: str) -> bytes:
        try:
            return self._sign(data, pin)
        except HsmUnavailableError:
            # Tokens that are plugged in again, and HSMs that were restarted, show only after a new C_Initialize.
            self._module.reset()
            return self._sign(data, pin)

    def _sign(self, data: bytes, pin: str) -> bytes:
        pkcs11 = self._pkcs11
        try:
            token = self._module.token(self._uri)
            key = self._key(self._module.session(token, pin))
            # The HSM hashes as well where it can; some are set up to sign digests only.
            if pkcs11.Mechanism.SHA256_RSA_PKCS in token.slot.get_mechanisms():
                return bytes(key.sign(data, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
            return bytes(key.sign(_digest_info(data), mechanism=pkcs11.Mechanism.RSA_PKCS))
        except pkcs11.PKCS11Error as error:
            # from None: the text of a vendor's library is not ours to pass on.
            raise _classified(error, pkcs11) from None

    def _key(self, session: Any) -> Any:
        attributes = self._pkcs11.Attribute
        wanted = {
            attributes.CLASS: self._pkcs11.ObjectClass.PRIVATE_KEY,
            attributes.KEY_TYPE: self._pkcs11.KeyType.RSA,
            attributes.LABEL: self._uri.label,
            attributes.ID: self._uri.key_id,
        }
        found = list(session.get_objects({name: value for name, value in wanted.items() if value is not None}))
        if len(found) != 1:
            count = "no RSA private key" if not found else f"{len(found)} private keys"
            raise EnvironmentVariableError(f"{KEY} names {count} of its token; it must name one")
        return found[0]


class _Module:
    """A PKCS#11 library as this process uses it. All but `lock` is for whoever holds the lock."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._pkcs11 = _binding()
        self._sessions: dict[int, Any] = {}
        self._refused_pins: set[tuple[bytes, str]] = set()
        self._process = os.getpid()

    def token(self, uri: Pkcs11Uri) -> Any:
        """Return the one token that the URI describes."""
        if self._process != os.getpid():
            # PKCS#11: a forked child must initialize anew.
            self.reset()
        slots = [slot for slot in self._library().get_slots(token_present=True) if _is_wanted(slot, uri)]
        tokens = [slot.get_token() for slot in slots]
        if not tokens:
            raise HsmUnavailableError(
                f"the token that {KEY} names is not there; connect it, or start its HSM, and try again"
            )
        if len(tokens) > 1:
            raise EnvironmentVariableError(f"{KEY} fits {len(tokens)} tokens; name one by token, serial or slot-id")
        return tokens[0]

    def session(self, token: Any, pin: str) -> Any:
        """Return the process's session with a token; opens it and logs in the first time."""
        slot, refused = token.slot.slot_id, (token.serial, pin)
        if refused in self._refused_pins:
            raise _pin_refused()
        if slot not in self._sessions:
            try:
                self._sessions[slot] = token.open(user_pin=pin)
            except (self._pkcs11.PinIncorrect, self._pkcs11.PinInvalid, self._pkcs11.PinLenRange):
                self._refused_pins.add(refused)
                raise
        return self._sessions[slot]

    def reset(self) -> None:
        """Forget all sessions, and have the library look anew for its tokens."""
        self._sessions.clear()
        self._process = os.getpid()
        with suppress(self._pkcs11.PKCS11Error):
            self._library().finalize()

    def _library(self) -> Any:
        try:
            return self._pkcs11.lib(str(self._path))
        except self._pkcs11.PKCS11Error as error:
            if type(error) is not self._pkcs11.PKCS11Error:
                raise
            # The plain class is what the loader raises.
            raise EnvironmentVariableError(
                f"{MODULE}, or module-path in {KEY}, names a file that is no PKCS#11 library"
            ) from None


_modules: dict[Path, _Module] = {}
_modules_lock = threading.Lock()


def _module(path: Path) -> _Module:
    with _modules_lock:
        return _modules.setdefault(path, _Module(path))


def _binding() -> Any:
    try:
        return importlib.import_module("pkcs11")
    except ImportError:
        raise EnvironmentVariableError(
            f"{KEY} is set, and python-pkcs11 is not installed; run: pip install 'vsync-dagster[hsm]'"
        ) from None


def _read_pin(path: Path) -> str:
    try:
        pin = path.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise EnvironmentVariableError(f"{PIN_FILE}, or pin-source in {KEY}, cannot be read: {why}") from None
    if not pin:
        raise EnvironmentVariableError(f"{PIN_FILE}, or pin-source in {KEY}, names an empty file")
    return pin


def _is_wanted(slot: Any, uri: Pkcs11Uri) -> bool:
    token = slot.get_token()
    has: dict[str, Callable[[], str]] = {
        "token": lambda: str(token.label),
        "serial": lambda: token.serial.decode(errors="replace").rstrip(),
        "manufacturer": lambda: str(token.manufacturer_id),
        "model": lambda: str(token.model),
        "slot-id": lambda: str(slot.slot_id),
    }
    is_initialized = _binding().TokenFlag.TOKEN_INITIALIZED in token.flags
    return is_initialized and all(has[name]() == value for name, value in uri.token.items())


def _digest_info(data: bytes) -> bytes:
    digest = Hash(SHA256())
    digest.update(data)
    return _SHA256_DIGEST_INFO + digest.finalize()


def _pin_refused() -> EnvironmentVariableError:
    return EnvironmentVariableError(
        f"the token refuses the PIN of {PIN_FILE}; it is not tried again by this process until the file changes"
    )


def _classified(error: Exception, pkcs11: Any) -> VsyncError:
    if isinstance(error, (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange)):
        return _pin_refused()
    if isinstance(error, (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized)):
        return HsmPinLockedError(f"the token of {KEY} takes no PIN ({type(error).__name__}); its officer must reset it")
    if isinstance(error, (pkcs11.MechanismInvalid, pkcs11.KeyTypeInconsistent)):
        return EnvironmentVariableError(f"{KEY} names a key that cannot sign by RSA ({type(error).__name__})")
    return HsmUnavailableError(f"the HSM does not sign ({type(error).__name__}); try again later")

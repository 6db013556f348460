"""`vsync keys`: the keys that encrypt personal data outside of the table of entries."""

import base64
import os
import secrets
from pathlib import Path

import click

from vsync_dagster.cli.options import database, environment
from vsync_dagster.local_db.encryption import KEY_BYTES, Cipher
from vsync_dagster.local_db.rotation import rotate as rotate_keys
from vsync_dagster.reconcile.errors import PermanentError


@click.group()
def keys() -> None:
    """The encryption keys (VSYNC_ENCRYPTION_KEYS).

    To replace a key: `vsync keys generate`, put the new key first in VSYNC_ENCRYPTION_KEYS of every process,
    `vsync keys rotate`, and then leave the old key out.
    """


@keys.command()
def generate() -> None:
    """Print a new key."""
    click.echo(new_key())


@keys.command()
def rotate() -> None:
    """Encrypt everything again with the first key of VSYNC_ENCRYPTION_KEYS; syncs may go on meanwhile.

    Works in small batches. Broken off, it goes on where it was when it is run again.
    """
    cipher = Cipher(environment().encryption_keys)
    unknown: set[str] = set()
    left = 0
    for done in rotate_keys(database(), cipher):
        click.echo(f"{done.table}: {done.rows} rows encrypted again with key {cipher.newest}, {done.left} left")
        unknown |= done.unknown_keys
        left += done.left
    if left:
        raise PermanentError(
            f"{left} rows need keys that VSYNC_ENCRYPTION_KEYS does not hold ({', '.join(sorted(unknown))}): add them "
            "at its end and rotate again",
            code="unknown-key",
        )


def new_key() -> str:
    """Return a key as VSYNC_ENCRYPTION_KEYS holds it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def key_of_home(home: Path) -> str:
    """Return the key of an embedded database, which is made on its first use and readable by its owner alone."""
    path = home / "encryption-key"
    if not path.exists():
        unfinished = path.with_suffix(".new")
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            file.write(new_key())
        unfinished.replace(path)
    return path.read_text(encoding="ascii")

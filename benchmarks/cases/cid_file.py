"""A CID file: SHA-256, validated, decoded and XORed."""

import hashlib
import subprocess
from pathlib import Path

from benchmarks.data import random_cids, write_cid_file
from benchmarks.measure import Place
from vsync_dagster.dict_api.cid_file import CidFile
from vsync_dagster.reconcile.cid_set import Tally

CASE = "CID file: SHA-256, validate, decode, XOR"
OURS = "read"
AGAINST = {"sha256sum": ("`sha256sum` of the same file", 0.5), "openssl": ("OpenSSL's SHA-256 of the same file", 0.5)}


def _path(place: Place) -> Path:
    path = Path(place.folder) / f"{place.keys}.cids"
    if not path.exists():
        write_cid_file(path, random_cids(place.keys, 1))
    return path


prepare_read = prepare_sha256sum = prepare_openssl = _path


def read(place: Place) -> None:
    """Ours: what a download and a comparison do with a file."""
    path, tally = _path(place), Tally()
    openssl(place)
    for block in CidFile(path).blocks():
        tally.add(block)
    if tally.count != place.keys:
        raise AssertionError(tally.count)


def sha256sum(place: Place) -> None:
    """GNU coreutils."""
    subprocess.run(["sha256sum", _path(place)], check=True, stdout=subprocess.DEVNULL)


def openssl(place: Place) -> None:
    """As Python's hashlib calls it, in the blocks that a download comes in."""
    digest = hashlib.sha256()
    with _path(place).open("rb", buffering=0) as file:
        while block := file.read(1 << 18):
            digest.update(block)

"""How the simulated DICT behaves, and where signatures plug in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from lxml import etree

from vsync_dagster.simulator.buckets import DOCUMENTED, Limit


@dataclass(frozen=True, slots=True)
class Settings:
    """The simulator's behaviour where DICT's documents leave it open, or where a test wants it otherwise.

    Attributes:
        log_lag: how old an event must be before the log lists it (5 s, says API 1.8's listCidSetEvents).
        file_delay: how long a CID set file takes to be made.
        file_lifetime: how long it can be downloaded; after that it is UNAVAILABLE. None: for ever.
        compressed_files: whether it sends a file with gzip to whoever takes it so, as it does its answers.
        download_base: scheme and host (and path, if any) of a file's Url; None: the host of the request, on the port
            that serves files.
        strict_headers: whether a `Host` with a port and headers that are not listed are refused, as by DICT's gateway.
        limits: buckets that differ from the documented ones, by policy name.
        indirects_share_buckets: an indirect participant is charged to its direct one, and not for itself.
        category: the participant category told by the policy operations.
    """

    log_lag: timedelta = timedelta(seconds=5)
    file_delay: timedelta = timedelta(seconds=2)
    file_lifetime: timedelta | None = timedelta(days=1)
    compressed_files: bool = True
    download_base: str | None = None
    strict_headers: bool = True
    limits: Mapping[str, Limit] = field(default_factory=dict)
    indirects_share_buckets: bool = False
    category: str = "A"

    def all_limits(self) -> dict[str, Limit]:
        """Return every policy's bucket."""
        return {**DOCUMENTED, **self.limits}


def _unsigned(document: etree._Element) -> etree._Element:
    return document


def _unverified(document: etree._Element, ispb: str | None) -> None:
    del document, ispb


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signs every answer document, problems too, and verifies every request document.

    Attributes:
        sign: signs as DICT.
        forge: signs as somebody who pretends to be DICT, for faults.
        verify: is given a request and the ISPB of the certificate that its connection came with, and raises a
            VsyncError for a signature that is not that participant's; the sender is told RequestSignatureInvalid.
    """

    sign: Callable[[etree._Element], etree._Element] = _unsigned
    forge: Callable[[etree._Element], etree._Element] = _unsigned
    verify: Callable[[etree._Element, str | None], None] = _unverified

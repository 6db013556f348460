"""Answers with a signature that must not be believed."""

import copy
from collections.abc import Callable

from lxml import etree

from vsync_dagster.simulator.faults import FaultKind
from vsync_dagster.simulator.settings import Signatures

_CORRELATION_IDS = ("CorrelationId", "{*}correlationId")


def sign_answer(document: etree._Element, signatures: Signatures, fault: FaultKind | None) -> etree._Element:
    """Sign an answer, or do wrong with its signature what a fault says."""
    forge = _FORGERIES.get(fault) if fault is not None else None
    return signatures.sign(document) if forge is None else forge(document, signatures)


def _unsigned(document: etree._Element, _: Signatures) -> etree._Element:
    return document


def _altered(document: etree._Element, signatures: Signatures) -> etree._Element:
    return _alter(signatures.sign(document))


def _by_another(document: etree._Element, signatures: Signatures) -> etree._Element:
    return signatures.forge(document)


def _wrapped(document: etree._Element, signatures: Signatures) -> etree._Element:
    """Return an altered answer that carries the true one inside, and its signature in the place of its own."""
    forged = _alter(copy.deepcopy(document))
    honest = signatures.sign(document)
    forged.insert(0, honest[0])
    etree.SubElement(forged, "Object").append(honest)
    return forged


def _alter(document: etree._Element) -> etree._Element:
    for name in _CORRELATION_IDS:
        for element in document.iterfind(name):
            element.text = "0" * 32
    return document


_FORGERIES: dict[FaultKind, Callable[[etree._Element, Signatures], etree._Element]] = {
    FaultKind.SIGNATURE_MISSING: _unsigned,
    FaultKind.SIGNATURE_BROKEN: _altered,
    FaultKind.SIGNATURE_BY_ANOTHER: _by_another,
    FaultKind.SIGNATURE_WRAPPED: _wrapped,
}

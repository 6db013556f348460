"""Whatever a stranger sends: only the error that says so, in bounded memory and time."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsync_dagster.dict_api.errors import SignatureRefusedError
from vsync_dagster.dict_api.xml import MAX_DOCUMENT_BYTES, MalformedMessageError, parse_document
from vsync_dagster_tests.dict_api import fuzz_targets

QUICK = settings(max_examples=300, deadline=None)
LONG_SECONDS, MEGABYTES = 45, 1_024


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A seed of a target, one or two of whose tags, lines or bytes are left out, doubled, moved or replaced."""
    data = draw(st.sampled_from(fuzz_targets.seeds(name)))
    for _ in range(draw(st.integers(1, 2))):
        parts = re.split(rb"(?=<)|(?<=\n)", data) if draw(st.booleans()) else [bytes([byte]) for byte in data]
        at, other = (draw(st.integers(0, max(0, len(parts) - 1))) for _ in range(2))
        parts[at : at + 1] = draw(st.sampled_from([[], parts[at : at + 1] * 2, parts[other : other + 1], [b"0"]]))
        data = b"".join(parts)
    return data


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    for seed in fuzz_targets.seeds(name):
        fuzz_targets.TARGETS[name](seed)


@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_any_bytes_end_in_a_result_or_in_the_error_that_says_so(name: str) -> None:
    @QUICK
    @given(st.one_of(mutated(name), mutated(name), st.binary(max_size=200)))
    def try_out(data: bytes) -> None:
        fuzz_targets.TARGETS[name](data)

    try_out()


@QUICK
@given(st.binary(max_size=60))
def test_pages_of_an_event_log_in_any_order_are_a_chain_or_refused(data: bytes) -> None:
    fuzz_targets.event_pages(data)


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE S [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><S x="&b;">&b;</S>',
        b'<!DOCTYPE S [<!ENTITY a "' + b"a" * 500_000 + b'">]><S x="' + b"&a;" * 100_000 + b'"/>',
        b'<!DOCTYPE S SYSTEM "http://127.0.0.1:1/"><S/>',
        b'<!DOCTYPE S [<!ENTITY % a SYSTEM "file:///etc/passwd">%a;]><S/>',
        "<!DOCTYPE S><S/>".encode("utf-16"),
        b"<a>" * 300 + b"</a>" * 300,
        b"<a>" + b"x" * MAX_DOCUMENT_BYTES + b"</a>",
    ],
    ids=["entities", "long entity", "outside DTD", "file", "UTF-16", "deep", "large"],
)
def test_a_document_cannot_grow_or_reach_outside(document: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse_document(document)


@pytest.mark.parametrize(
    "document",
    [
        b"<S>" + b"<a/>" * 250_000 + b"</S>",
        b"<S " + b" ".join(b'a%d=""' % number for number in range(90_000)) + b"/>",
        b"<S>" + b"".join(b'<a xmlns:n%d="u"/>' % number for number in range(50_000)) + b"</S>",
        b"<S>" + fuzz_targets.signed_answer().split(b"\n", 1)[1] * 200 + b"</S>",
    ],
    ids=["elements", "attributes", "namespaces", "signatures"],
)
def test_the_largest_documents_are_refused_like_the_others(document: bytes) -> None:
    assert len(document) <= MAX_DOCUMENT_BYTES
    with pytest.raises(SignatureRefusedError):
        fuzz_targets._verifier()(parse_document(document))


@pytest.mark.long
@pytest.mark.parametrize("name", fuzz_targets.TARGETS)
def test_atheris_finds_nothing(name: str, tmp_path: Path) -> None:
    """Coverage-guided: within a memory limit, and seconds for each input."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(fuzz_targets.seeds(name)):
        (corpus / str(number)).write_bytes(seed)
    limits = [f"-max_total_time={LONG_SECONDS}", f"-rss_limit_mb={MEGABYTES}", "-timeout=10", "-max_len=8192"]
    command = [
        sys.executable,
        "-m",
        "vsync_dagster_tests.dict_api.fuzz",
        name,
        *limits,
        f"-artifact_prefix={tmp_path}/",
        str(corpus),
    ]

    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * LONG_SECONDS)

    assert done.returncode == 0, done.stderr[-3_000:]
    assert "Done" in done.stderr

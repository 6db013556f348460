"""CID files: waited for, downloaded and read, and believed only when everything is right."""

import dataclasses
import gzip
import hashlib
import itertools
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.dict_api.cid_file import CidFile, DownloadRule, download, wait_for_file
from vsync_dagster.dict_api.errors import CidFileContentError, CidFileError, CidFilePlaceError, DictNotFoundError
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.messages import CidSetFile
from vsync_dagster.reconcile.cid_set import Rows, Words
from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError
from vsync_dagster_tests.dict_api.parts import FakeTime, Line, cid_set_file, file_state, problem
from vsync_dagster_tests.dict_api.server import Reply, ScriptedServer

CONTENT = b"".join(bytes([n] * 32).hex().encode() + b"\n" for n in range(100))

HERE = DownloadRule(frozenset({"127.0.0.1"}), plain_http=True)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cids"


def described(server: ScriptedServer, content: bytes = CONTENT, **changes: object) -> CidSetFile:
    told: dict[str, Any] = {
        "url": server.url.replace("/api/v2/", "/files/a.cids"),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    told.update(changes)
    return cid_set_file(**told)


def fetch(line: Line, file: CidSetFile, target: Path, **how: object) -> None:
    how = {"rule": HERE, "max_bytes": 10_000, "sleep": line.time.sleep} | how
    download(line.http, file, target, **how)  # type: ignore[arg-type]


# Waiting


def test_a_file_is_waited_for_less_and_less_often(
    server: ScriptedServer, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.script(file_state("REQUESTED"), file_state("PROCESSING"), file_state("ARCHIVING"), file_state(bytes=65))

    file = wait_for_file(line.client(), 77, "PHONE", sleep=line.time.sleep)

    assert (file.status, file.bytes) == ("AVAILABLE", 65)
    assert line.time.sleeps == [2.0, 3.0, 4.5]
    assert [record.getMessage() for record in caplog.records if record.name.startswith("vsync_dagster")] == [
        "PHONE: waiting for DICT to make CID file 77: asking again in 4 s (after 5 of at most 1800 s)"
    ]


@pytest.mark.parametrize("status", ["ERROR", "UNAVAILABLE"])
def test_a_file_that_dict_gave_up_is_to_be_asked_for_again(server: ScriptedServer, line: Line, status: str) -> None:
    server.script(file_state("REQUESTED"), file_state(status))

    with pytest.raises(CidFileError, match=f"status {status}; ask for another") as error:
        wait_for_file(line.client(), 77, "PHONE", sleep=line.time.sleep)
    assert error.value.ask_again


def test_a_file_is_not_waited_for_forever(server: ScriptedServer, line: Line) -> None:
    server.answer = lambda _: file_state("PROCESSING")

    with pytest.raises(CidFileError, match="try again later") as error:
        wait_for_file(line.client(), 77, "PHONE", sleep=line.time.sleep, longest_wait=100)

    assert not error.value.ask_again
    assert isinstance(error.value, TransientError)
    assert max(line.time.sleeps) == 30.0
    assert 100 <= sum(line.time.sleeps) < 131


def test_a_file_that_dict_does_not_know_is_not_found(server: ScriptedServer, line: Line) -> None:
    server.script(problem(404, "NotFound"))

    with pytest.raises(DictNotFoundError):
        wait_for_file(line.client(), 77, "PHONE", sleep=line.time.sleep)


# Downloading


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_is_downloaded_and_checked(server: ScriptedServer, line: Line, target: Path, compressed: bool) -> None:
    server.script(Reply(200, CONTENT, compressed=compressed))

    fetch(line, described(server), target)

    assert target.read_bytes() == CONTENT
    assert server.received[0].path == "/files/a.cids"
    assert list(target.parent.iterdir()) == [target]


def test_the_hash_may_be_written_in_capitals(server: ScriptedServer, line: Line, target: Path) -> None:
    server.script(Reply(200, CONTENT))

    fetch(line, described(server, sha256=hashlib.sha256(CONTENT).hexdigest().upper()), target)

    assert target.exists()


DAMAGED = {
    "altered": Reply(200, CONTENT.replace(b"0" * 64, b"0" * 63 + b"1")),
    "cut off": Reply(200, CONTENT, cut=1000),
    "shortened": Reply(200, CONTENT[:-65]),
    "prolonged": Reply(200, CONTENT + CONTENT[:65]),
    "cut off gzip": Reply(200, gzip.compress(CONTENT)[:60], {"Content-Encoding": "gzip"}),
    "broken gzip": Reply(200, CONTENT, {"Content-Encoding": "gzip"}),
    "encoded twice": Reply(200, gzip.compress(gzip.compress(CONTENT)), {"Content-Encoding": "gzip, gzip"}),
    "empty": Reply(200, b""),
    "reset": Reply(reset=True),
    "unavailable": Reply(503, CONTENT),
    "redirected": Reply(302, CONTENT, {"Location": "/files/b.cids"}),
    "forbidden": Reply(403, CONTENT),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_download_is_fetched_again(
    server: ScriptedServer, line: Line, target: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.script(DAMAGED[damage], DAMAGED[damage], Reply(200, CONTENT))

    fetch(line, described(server), target)

    assert target.read_bytes() == CONTENT
    [told] = [record.getMessage() for record in caplog.records if record.name.startswith("vsync_dagster")]
    assert told.startswith("attempt 2 of 3 failed, the next one in 4 s: the CID file was not downloaded: ")
    assert line.time.sleeps == [2.0, 4.0]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_download_that_stays_damaged_is_not_kept(
    server: ScriptedServer, line: Line, target: Path, damage: str
) -> None:
    server.script(*[DAMAGED[damage]] * 4)

    with pytest.raises(CidFileError, match="could not be downloaded in 3 attempts") as error:
        fetch(line, described(server), target)

    assert isinstance(error.value, TransientError)
    assert not error.value.ask_again
    assert len(server.received) == 3
    assert list(target.parent.iterdir()) == []


def test_the_error_says_that_a_part_is_missing(server: ScriptedServer, line: Line, target: Path) -> None:
    server.script(*[DAMAGED["shortened"]] * 3)

    with pytest.raises(CidFileError, match="shorter than DICT says"):
        fetch(line, described(server), target)


def test_a_failed_attempt_leaves_nothing_of_itself_in_the_next(
    server: ScriptedServer, line: Line, target: Path
) -> None:
    server.script(Reply(200, CONTENT[:100]), Reply(200, CONTENT))

    fetch(line, described(server), target)

    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "attempts"), [(404, 3), (410, 1)])
def test_a_file_that_is_gone_is_to_be_asked_for_again(
    server: ScriptedServer, line: Line, target: Path, status: int, attempts: int
) -> None:
    """AVAILABLE and yet 404 (met in production): its store may be behind, so another is asked for after a while."""
    server.answer = lambda _: Reply(status, b"gone")

    with pytest.raises(CidFileError, match=f"gone \\(HTTP {status}\\)") as error:
        fetch(line, described(server), target)
    assert error.value.ask_again
    assert len(server.received) == attempts
    assert line.time.sleeps == [20.0, 40.0][: attempts - 1]


def test_a_file_that_is_there_after_a_while_is_not_asked_for_again(
    server: ScriptedServer, line: Line, target: Path
) -> None:
    server.script(Reply(404, b"not yet"), Reply(404, b"not yet"), Reply(200, CONTENT))

    fetch(line, described(server), target)

    assert target.read_bytes() == CONTENT


def test_a_file_over_the_bound_is_not_even_fetched(server: ScriptedServer, line: Line, target: Path) -> None:
    with pytest.raises(CidFileContentError, match="6500 bytes, more than the 6499 permitted") as error:
        fetch(line, described(server), target, max_bytes=6499)
    assert isinstance(error.value, RefusedError)
    assert server.received == []


def test_a_body_that_unpacks_to_more_than_named_is_not_stored(server: ScriptedServer, line: Line, target: Path) -> None:
    server.script(*[Reply(200, b"0" * 50_000_000, compressed=True)] * 3)

    with pytest.raises(CidFileError, match="longer than DICT says"):
        fetch(line, described(server), target)


@pytest.mark.parametrize(("min_rate", "in_time"), [(1, True), (10, False)])
def test_the_time_of_a_download_follows_its_size(
    server: ScriptedServer, line: Line, target: Path, min_rate: float, in_time: bool
) -> None:
    """195 bytes, each a wait, in 120 and 195 waits, or in 120 and 19."""
    server.script(Reply(200, CONTENT[:195], drip=0.002))
    ticks = itertools.count()
    how = {"min_rate": min_rate, "attempts": 1, "clock": lambda: next(ticks)}

    with nullcontext() if in_time else pytest.raises(CidFileError, match="takes too long, by the 140 s"):
        fetch(line, described(server, CONTENT[:195]), target, **how)

    assert target.exists() is in_time


@pytest.mark.parametrize("missing", ["url", "bytes", "sha256"])
def test_a_file_without_url_size_or_hash_is_not_believed(
    server: ScriptedServer, line: Line, target: Path, missing: str
) -> None:
    file = dataclasses.replace(described(server), **{missing: None})  # type: ignore[arg-type]

    with pytest.raises(CidFileError, match="lacks its Url, Bytes or Sha256"):
        fetch(line, file, target)
    assert server.received == []


@pytest.mark.parametrize("url", ["http://host:x/", "http://127.0.0.1/a b", "http://127.0.0.1/ã", "http://[::1/"])
def test_a_url_that_is_none_is_refused(server: ScriptedServer, line: Line, target: Path, url: str) -> None:
    with pytest.raises(CidFileError, match="URL of DICT's CID file is malformed"):
        fetch(line, described(server, url=url), target)


@pytest.mark.parametrize("url", ["https://dict.example/%2e%2e/admin", "https://dict.example/a/%2e%2e/%2e%2e/admin"])
def test_a_url_does_not_lead_out_of_the_download_base(url: str) -> None:
    rule = DownloadRule(frozenset({"gateway.example"}), "https://gateway.example/arq/")
    with pytest.raises(CidFilePlaceError, match="in its path"):
        rule.place(url)


RULE = DownloadRule(frozenset({"dict.example", "files.example", "ports.example:1130"}))


@pytest.mark.parametrize(
    "url",
    [
        "https://dict.example:16522/a",
        "https://FILES.example/a?b=c",
        "https://ports.example:1130/api/v1/download/1/cidsetfile/1_CPF_7_2026-01-10T10:00:00.123Z.txt",
        "https://dict.example/a..b/%2Fc%3a?d=..%2F..",
    ],
)
def test_a_file_may_be_at_any_of_the_permitted_hosts(url: str) -> None:
    assert str(RULE.place(url)) == url.replace("FILES", "files")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://dict.example/a", "not at an https URL"),
        ("ftp://dict.example/a", "not at an https URL"),
        ("/files/a.cids", "not at an https URL"),
        ("", "not at an https URL"),
        ("https://evil.example/a", "'evil.example', which is not one of VSYNC_DICT_DOWNLOAD_HOSTS"),
        ("https://dict.example.evil.example/a", "not one of"),
        ("https://evil.example/https://dict.example/a", "not one of"),
        ("https://dict.example@evil.example/a", "names a user"),
        ("https://evil.example#@dict.example/a", "not one of"),
        ("https:///a", "not one of"),
        ("https://user:password@dict.example/a", "names a user"),
        ("https://evil.example\\@dict.example/a", "names a user"),
        ("https://ports.example:1131/a", "at port 1131 of 'ports.example', which is not one of"),
        ("https://ports.example/a", "at port 443 of 'ports.example', which is not one of"),
        ("https://dict.example/arq/%2e%2e/admin", "'..' in its path"),
        ("https://dict.example/arq/%2E./admin", "'..' in its path"),
        ("https://dict.example/arq/..%2Fadmin", "'..' in its path"),
        ("https://dict.example/arq/%252e%252e/admin", "'..' in its path"),
        ("https://dict.example/arq/..%5Cadmin", "'..' in its path"),
        ("https://dict.example/arq/../admin", "'..' in its path"),
    ],
)
def test_nothing_is_asked_for_elsewhere(line: Line, target: Path, url: str, why: str) -> None:
    file = cid_set_file(url=url, bytes=1, sha256="0" * 64)

    with pytest.raises(CidFilePlaceError, match=why):
        fetch(line, file, target, rule=RULE)


def test_plain_http_will_do_where_nothing_is_verified_but_only_there(server: ScriptedServer, line: Line) -> None:
    assert HERE.place("http://127.0.0.1:1/a").scheme == "http"
    with pytest.raises(CidFilePlaceError):
        HERE.place("ftp://127.0.0.1/a")


def test_a_redirect_is_not_followed(server: ScriptedServer, line: Line, target: Path) -> None:
    server.answer = lambda _: Reply(302, headers={"Location": server.url + "elsewhere"})

    with pytest.raises(CidFileError, match="HTTP 302"):
        fetch(line, described(server), target)
    assert {request.path for request in server.received} == {"/files/a.cids"}


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("", "/apath/dict file.cids"), ("/", "/apath/dict file.cids"), ("/arq/", "/arq/apath/dict file.cids")],
)
def test_a_url_is_rewritten_to_the_download_base(
    server: ScriptedServer, line: Line, target: Path, prefix: str, path: str
) -> None:
    server.script(Reply(200, CONTENT))
    file = described(server, url="https://some_download_url:99/apath/dict%20file.cids?token=a%2Fb")

    fetch(line, file, target, rule=dataclasses.replace(HERE, base=server.url.removesuffix("/api/v2/") + prefix))

    (request,) = server.received
    assert request.path == path.replace(" ", "%20")
    assert request.query == {"token": "a/b"}


def test_a_disk_that_does_not_take_the_file_is_a_permanent_error(
    server: ScriptedServer, line: Line, tmp_path: Path
) -> None:
    server.script(Reply(200, CONTENT))

    with pytest.raises(PermanentError, match=r"cannot be stored: No such file or directory$"):
        fetch(line, described(server), tmp_path / "absent" / "cids")


def test_a_file_that_does_not_fit_on_the_disk_is_not_asked_for(
    server: ScriptedServer, line: Line, target: Path
) -> None:
    with pytest.raises(
        PermanentError, match=r"has 10{18} bytes, and [0-9]+ are free in VSYNC_DOWNLOAD_FOLDER"
    ) as error:
        fetch(line, described(server, bytes=10**18), target, max_bytes=10**19)
    assert error.value.code == "storage"
    assert server.received == []


def test_a_disk_that_fills_up_is_one_clear_line(server: ScriptedServer, line: Line, target: Path) -> None:
    target.with_name("cids.part").symlink_to("/dev/full")
    server.script(Reply(200, CONTENT))

    with pytest.raises(PermanentError, match=r"^the CID file cannot be stored: No space left on device$"):
        fetch(line, described(server), target)
    assert list(target.parent.iterdir()) == []


def test_a_download_host_that_is_not_there_is_a_transient_error(target: Path) -> None:
    time = FakeTime()
    file = cid_set_file(url="http://127.0.0.1:9/a", bytes=0, sha256="0" * 64)
    with http_client("http://127.0.0.1:9/", timeout=1) as http, pytest.raises(CidFileError, match="ConnectError"):
        download(http, file, target, rule=HERE, max_bytes=1, sleep=time.sleep)
    assert time.sleeps == [2.0, 4.0]


def test_the_absolute_url_goes_to_its_own_host(server: ScriptedServer, target: Path) -> None:
    server.script(Reply(200, CONTENT))

    with httpx.Client(base_url="https://dict.example.org/api/v2/", trust_env=False) as http:
        download(http, described(server), target, rule=HERE, max_bytes=10_000)

    assert server.received[0].path == "/files/a.cids"


# Reading


def read_text(folder: Path, content: bytes) -> list[bytes]:
    path = folder / "file"
    path.write_bytes(content)
    blocks = list(CidFile(path).blocks())
    assert all(block.dtype == np.uint8 and block.shape[1:] == (32,) for block in blocks)
    return [cid.tobytes() for block in blocks for cid in block]


@given(st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=20), st.booleans(), st.booleans())
def test_cids_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, cids: list[bytes], upper: bool, newline: bool
) -> None:
    content = "\n".join(cid.hex().upper() if upper else cid.hex() for cid in cids) + ("\n" if newline and cids else "")

    assert read_text(tmp_path_factory.getbasetemp(), content.encode()) == cids


@given(st.lists(st.binary(min_size=32, max_size=32), unique=True, max_size=20), st.booleans(), st.data())
def test_cids_are_chosen_by_their_first_eight_bytes(
    tmp_path_factory: pytest.TempPathFactory, cids: list[bytes], upper: bool, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "file"
    path.write_text("\n".join(cid.hex().upper() if upper else cid.hex() for cid in cids))
    wanted = data.draw(st.lists(st.sampled_from(range(len(cids))), unique=True) if cids else st.just([]))
    seen: list[bytes] = []

    def choice(first_words: Words) -> Rows:
        seen.extend(word.tobytes() for word in first_words)
        return np.array(wanted, np.int64)

    found = [cid.tobytes() for block in CidFile(path).chosen(choice) for cid in block]

    assert seen == [cid[:8] for cid in cids]
    assert found == [cids[row] for row in wanted]


def test_a_file_that_changes_while_it_is_compared_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (A[:-1] + b"\n", A[:-1] + b"g\n"):
        path.write_bytes(content)
        with pytest.raises(CidFileContentError, match="nothing of it is used"):
            list(CidFile(path).chosen(lambda words: np.arange(len(words))))


@pytest.mark.parametrize("count", [4095, 4096, 4097, 8192])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_many_blocks_are_read(tmp_path: Path, count: int, ending: str) -> None:
    cids = [n.to_bytes(32) for n in range(count)]

    assert read_text(tmp_path, ("\n".join(cid.hex() for cid in cids) + ending).encode()) == cids


def test_an_empty_file_is_an_empty_set(tmp_path: Path) -> None:
    assert read_text(tmp_path, b"") == []


A, B = b"a" * 64, b"b" * 64


@pytest.mark.parametrize(
    "content",
    [
        A + b"\r\n" + B + b"\r\n",
        A + b"\n\n" + B + b"\n",
        A + b"\n" + B + b"\n\n",
        b"\n" + A + b"\n",
        b"\n",
        b"\xef\xbb\xbf" + A + b"\n",
        A[:-1] + b"\n" + B + b"b\n",
        A[:-1] + b"\n",
        A + B,
        A + b";" + B,
        A + b" " + B,
        A[:-1] + b"g\n",
        A[:-2] + b"  \n",
        A[:-1] + b"\n\n",
        A[:30] + b"\n" + A[31:] + b"\n",
        A[:30] + b"\n\n" + A[32:] + b"\n",
        A[:-2] + "é".encode() + b"\n",
        b"0x" + A[2:] + b"\n",
        A + b"\n" + B[:10],
        A + b"\n" + b"\0" * 64 + b"\n",
    ],
)
def test_anything_but_lines_of_64_hexadecimal_digits_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CidFileContentError, match="nothing of it is used") as error:
        read_text(tmp_path, content)
    assert isinstance(error.value, RefusedError)


def test_memory_holds_one_block(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes((A + b"\n") * 10_000)

    assert max(len(block) for block in CidFile(path).blocks()) == 4_096

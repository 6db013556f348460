"""Who gets in, for how long, and what a browser is told."""

import logging
import re
import time
from collections.abc import Iterator
from html import unescape

import psycopg
import pytest
from starlette.applications import Starlette

from vsync_dagster.console import sessions, throttle
from vsync_dagster.console.app import create_app
from vsync_dagster.local_db import roles
from vsync_dagster.local_db.database import Database
from vsync_dagster.local_db.migrate import migrate
from vsync_dagster_tests.console.conftest import Clock
from vsync_dagster_tests.console.parts import Browser, Credentials, Person, credentials, hidden, text_of
from vsync_dagster_tests.faults.postgres_server import own_server


@pytest.fixture
def known(database: Database) -> Iterator[Credentials]:
    """A login that may decide."""
    with credentials(database, roles.COMPLIANCE) as made:
        yield made


def test_a_stranger_is_sent_to_log_in(app: Starlette) -> None:
    stranger = Browser(app)
    for path in ("/", "/items/00000000-0000-0000-0000-000000000001"):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert stranger.post("/items/00000000-0000-0000-0000-000000000001/key").headers["location"] == "/login"
    assert stranger.get("/", **{"HX-Request": "true"}).headers["hx-redirect"] == "/login", "not a part of a page"


def test_a_person_logs_in_and_out(app: Starlette, known: Credentials) -> None:
    person = Person(app, known.name, known.password)
    assert person.log_in().headers["location"] == "/"
    assert known.name in person.get("/").text
    kept = person.cookies["vsync_session"]
    assert person.do("/logout").headers["location"] == "/login"
    person.cookies.set("vsync_session", kept)
    assert person.get("/").status_code == 303, "the cookie is worth nothing any more"


@pytest.mark.parametrize("password", ["wrong", "", "\0", "a" * 70_000])
def test_a_wrong_password_is_one_line(app: Starlette, known: Credentials, password: str) -> None:
    answer = Person(app, known.name, password).log_in(password)
    assert answer.status_code == 401
    assert "Name or password are not right" in text_of(answer)


def test_the_login_of_the_url_lets_nobody_in(app: Starlette, database: Database, known: Credentials) -> None:
    """Neither its password nor one that the machine keeps stands in for a person's."""
    person = Person(app, known.name, "")
    assert person.post("/login", csrf=hidden(person.get("/login").text), name=known.name).status_code == 401
    with pytest.raises(Exception, match="a name and a password"):
        database.as_person(known.name, "")
    assert database.url.split("@")[0].split(":")[-1] not in database.as_person("ana", "secret").url


def test_a_server_that_asks_for_no_password_lets_nobody_in_here() -> None:
    """A server of its own: one line of its pg_hba.conf decides whether it asks."""
    with own_server() as server:
        database = Database(server.url)
        migrate(database)
        app = create_app(database)
        with credentials(database, roles.COMPLIANCE) as known:
            person = Person(app, known.name, known.password)
            with psycopg.connect(f"postgresql://{known.name}:wrong@127.0.0.1:{server.port}/postgres"):
                pass  # trust: whoever names a role is let in
            assert [person.log_in(password).status_code for password in ("wrong", known.password)] == [401, 401]
            assert Person(app, "vsync", "wrong").log_in().status_code == 401, "nor its superuser"

            (server.data / "pg_hba.conf").write_text(
                "host all vsync 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            )
            with database.connect() as conn:
                conn.execute("select pg_reload_conf()")
            wait_until_a_password_is_asked_for(known.name, server.port)
            assert [person.log_in(password).status_code for password in ("wrong", known.password)] == [401, 303]


def wait_until_a_password_is_asked_for(name: str, port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            psycopg.connect(f"postgresql://{name}:wrong@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            return
    pytest.fail("it lets everybody in")


@pytest.mark.parametrize("role", [roles.APPLICATION, roles.RETENTION, roles.MONITORING])
def test_other_roles_are_not_for_people(app: Starlette, database: Database, role: str) -> None:
    with credentials(database, role) as known:
        answer = Person(app, known.name, known.password).log_in()
    assert answer.status_code == 403
    assert "A DBA grants them" in text_of(answer)


def test_a_superuser_is_not_a_person(database: Database, app: Starlette) -> None:
    parts = database.url.split("//")[1].split("@")[0].split(":")
    assert Person(app, parts[0], parts[1]).log_in().status_code == 403


def test_the_login_form_must_be_ours(app: Starlette, known: Credentials) -> None:
    person = Person(app, known.name, known.password)
    person.get("/login")
    for token in ("", "guessed"):
        assert person.post("/login", csrf=token, name=known.name, password=known.password).status_code == 403
    assert Browser(app).post("/login", csrf="", name=known.name, password=known.password).status_code == 403


def test_a_session_ends_unused(ana: Person, clock: Clock) -> None:
    clock.seconds += sessions.IDLE_SECONDS - 1
    assert ana.get("/").status_code == 200
    clock.seconds += sessions.IDLE_SECONDS + 1
    assert ana.get("/").status_code == 303


def test_a_session_ends_however_much_it_is_used(ana: Person, clock: Clock) -> None:
    while clock.seconds < sessions.ABSOLUTE_SECONDS - 600:
        clock.seconds += 600
        assert ana.get("/").status_code == 200
    clock.seconds += 601
    assert ana.get("/").status_code == 303


def test_attempts_are_limited(app: Starlette, known: Credentials, clock: Clock) -> None:
    person = Person(app, known.name, known.password)
    answers = [person.log_in("wrong").status_code for _ in range(throttle.ATTEMPTS_A_NAME + 1)]
    assert answers == [401] * throttle.ATTEMPTS_A_NAME + [429]
    assert person.log_in().status_code == 429, "the right one too"
    clock.seconds += throttle.WINDOW_SECONDS
    assert person.log_in().status_code == 303


def test_an_address_cannot_try_many_names(clock: Clock) -> None:
    attempts = throttle.Throttle(clock)
    admitted = [attempts.admit(f"name{number}", "10.0.0.1") for number in range(throttle.ATTEMPTS_AN_ADDRESS + 1)]
    assert admitted == [True] * throttle.ATTEMPTS_AN_ADDRESS + [False]
    assert attempts.admit("name0", "10.0.0.2")


def test_logging_in_many_times_rightly_is_no_attack(app: Starlette, known: Credentials) -> None:
    person = Person(app, known.name, known.password)
    assert {person.log_in().status_code for _ in range(throttle.ATTEMPTS_A_NAME + 2)} == {303}


def test_every_answer_has_the_headers(app: Starlette, ana: Person) -> None:
    expected = {
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
    rules = {
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    }
    paths = ("/login", "/", "/reports", "/static/console.css", "/static/htmx-2.0.11.min.js", "/nothing", "/items/no-id")
    for answer in [*map(ana.get, paths), ana.post("/login"), Browser(app).get("/")]:
        assert {name: answer.headers[name] for name in expected} == expected, answer.url
        policy = answer.headers["Content-Security-Policy"]
        assert rules <= set(policy.split("; "))
        assert "unsafe" not in policy


def test_no_page_asks_anybody_else(ana: Person) -> None:
    for path in ("/login", "/"):
        page = ana.get(path).text
        assert "//" not in page.replace("<!doctype html>", ""), "no address but our own"
        assert not any(part in page for part in ("<style", " style=", " onclick=", "<script>")), "nothing inline"


@pytest.mark.parametrize(
    ("base", "name", "secure"),
    [
        ("http://127.0.0.1:3010", "vsync_session", False),
        ("http://localhost:3010", "vsync_session", False),
        ("https://127.0.0.1:3010", "__Host-vsync_session", True),
        ("https://console.example", "__Host-vsync_session", True),
        ("http://console.example", "__Host-vsync_session", True),
    ],
)
def test_cookies_are_for_this_site_alone(
    app: Starlette, known: Credentials, base: str, name: str, secure: bool
) -> None:
    person = Person(app, known.name, known.password, base)
    token = hidden(person.get("/login").text)
    person.cookies.set(name.replace("session", "login"), token)
    answer = person.post("/login", csrf=token, name=known.name, password=known.password)
    set_cookie = answer.headers["set-cookie"]
    assert set_cookie.startswith(f"{name}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(set_cookie.split("; "))
    assert ("Secure" in set_cookie.split("; ")) is secure


@pytest.mark.parametrize(
    ("back", "where"),
    [("/?age=x", "/?age=x"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/")],
)
def test_a_language_is_kept_and_leads_nowhere_else(app: Starlette, back: str, where: str) -> None:
    stranger = Browser(app)
    answer = stranger.send("GET", "/language", params={"to": "pt", "back": back})
    assert answer.headers["location"] == where
    assert "Entrar" in stranger.get("/login").text


def test_the_other_language_is_offered_on_the_same_page(ana: Person) -> None:
    for path in ("/reports", "/?state=KEPT&order=participant"):
        [link] = re.findall(r'href="(/language[^"]+)"', ana.get(path).text)
        assert ana.get(unescape(link)).headers["location"] == path


def test_the_language_is_the_browsers_until_one_is_chosen(app: Starlette) -> None:
    assert 'lang="pt"' in Browser(app).get("/login", **{"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"}).text
    assert 'lang="en"' in Browser(app).get("/login", **{"Accept-Language": "de, en;q=0.8, pt;q=0.1"}).text
    assert 'lang="en"' in Browser(app).get("/login").text


def test_a_database_that_is_away_is_one_line(known: Credentials, ana: Person, caplog: pytest.LogCaptureFixture) -> None:
    away = create_app(Database("postgresql://nobody@127.0.0.1:1/none"))
    answer = Person(away, known.name, known.password).log_in()
    assert answer.status_code == 401
    assert known.password not in answer.text + caplog.text


def test_an_accident_is_one_line_and_its_text_in_no_log(
    ana: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("the key is 12345678901")

    monkeypatch.setattr("vsync_dagster.console.queue.review.open_items", fail)
    with caplog.at_level(logging.DEBUG):
        answer = ana.get("/")
    assert answer.status_code == 500
    assert "This did not work" in text_of(answer)
    assert "12345678901" not in answer.text + caplog.text
    assert "ValueError" in caplog.text

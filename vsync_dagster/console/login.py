"""Logging in with a PostgreSQL role and its password, and out again."""

from starlette.responses import RedirectResponse, Response

from vsync_dagster.console.language import LANGUAGES
from vsync_dagster.console.sessions import random_token
from vsync_dagster.console.visit import (
    LANGUAGE_COOKIE,
    SESSION_COOKIE,
    PageError,
    Stranger,
    Visit,
    cookie_name,
    is_secure,
    same_token,
)
from vsync_dagster.local_db import roles
from vsync_dagster.reconcile.errors import VsyncError

# Before there is a session, a form is ours if it holds what the cookie holds, which no other site can set or read.
FORM_COOKIE = "vsync_login"
_WRONG = "Name or password are not right, or the database lets nobody in just now."
_NO_ROLE = "This login has neither of the roles vsync_compliance and vsync_auditor. A DBA grants them."
_TOO_OFTEN = "Too many attempts. Wait a quarter of an hour."


def show_login(visit: Stranger) -> Response:
    """Show the form."""
    return _form(visit, 200, None)


def log_in(visit: Stranger) -> Response:
    """Begin a session for whom PostgreSQL lets in and who has a role to work with."""
    expected = visit.request.cookies.get(cookie_name(visit.request, FORM_COOKIE), "")
    if not expected or not same_token(visit.field("csrf"), expected):
        raise PageError(403, "This form is not from this session. Load the page again.")
    name, address = visit.field("name"), visit.request.client.host if visit.request.client else ""
    if not visit.console.throttle.admit(name, address):
        return _form(visit, 429, _TOO_OFTEN)
    try:
        person = visit.console.database.as_person(name, visit.form.get("password", [""])[0])
        with person.connect() as conn:
            held = roles.held(conn)
    except VsyncError:
        return _form(visit, 401, _WRONG)
    visit.console.throttle.succeeded(name)
    if not held & {roles.COMPLIANCE, roles.AUDITOR}:
        return _form(visit, 403, _NO_ROLE)
    sessions = visit.console.sessions
    sessions.end(visit.request.cookies.get(cookie_name(visit.request, SESSION_COOKIE)))
    session = sessions.begin(person, name, may_decide=roles.COMPLIANCE in held)
    response = RedirectResponse("/", 303)
    _set_cookie(visit, response, SESSION_COOKIE, session)
    return response


def log_out(visit: Visit) -> Response:
    """End the session; the password is forgotten."""
    name = cookie_name(visit.request, SESSION_COOKIE)
    visit.console.sessions.end(visit.request.cookies.get(name))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(name, secure=is_secure(visit.request), httponly=True, samesite="strict")
    return response


def set_language(visit: Stranger) -> Response:
    """Keep the language that the person has chosen, and go back to where they were."""
    chosen, back = visit.request.query_params.get("to"), visit.request.query_params.get("back", "/")
    # A path of this site: `//` and `/\` begin another's.
    response = RedirectResponse(back if back[:1] == "/" and back[1:2] not in ("/", "\\") else "/", 303)
    if chosen in LANGUAGES:
        secure = is_secure(visit.request)
        response.set_cookie(LANGUAGE_COOKIE, chosen, 31_536_000, secure=secure, httponly=True, samesite="strict")
    return response


def _form(visit: Stranger, status: int, problem: str | None) -> Response:
    # The same in every tab of a browser.
    token = visit.request.cookies.get(cookie_name(visit.request, FORM_COOKIE)) or random_token()
    response = visit.render("login.html", status, csrf=token, problem=problem, name=visit.field("name"))
    _set_cookie(visit, response, FORM_COOKIE, token)
    return response


def _set_cookie(visit: Stranger, response: Response, name: str, value: str) -> None:
    """Set a cookie that ends with the browser, and that no script reads and no other site sends."""
    request = visit.request
    response.set_cookie(
        cookie_name(request, name), value, path="/", secure=is_secure(request), httponly=True, samesite="strict"
    )

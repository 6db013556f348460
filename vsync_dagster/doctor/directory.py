"""DICT: its name, TLS, our certificates, a call, a signed call, budgets, clock, and the host that serves files.

Calls are made as a sync makes them, but nothing is written down of them. Each run of the checks costs each participant
that acts at DICT one token of POLICIES_LIST, and the first of them one of SYNC_VERIFICATIONS_WRITE; a budget keeps more
back than that.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from cryptography import x509

from vsync_dagster.dict_api.budget import SYNC_VERIFICATIONS_WRITE
from vsync_dagster.dict_api.certificates import (
    ConfiguredCertificate,
    cnpj_root_of,
    ending_soon,
    ispb_of,
    read_certificates,
)
from vsync_dagster.dict_api.client import DictClient
from vsync_dagster.dict_api.exchange import http_client
from vsync_dagster.dict_api.messages import Policy
from vsync_dagster.dict_api.settings import DictSettings, check_signing
from vsync_dagster.doctor.check import Check, State, failed
from vsync_dagster.doctor.network import address_of, check_name, check_server
from vsync_dagster.environment import Environment
from vsync_dagster.local_db.participants import Participant
from vsync_dagster.reconcile.errors import VsyncError
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.reconcile.plan import Bucket

_CALL_SECONDS = 10.0
_CLOCK_WARNING_SECONDS = 5.0
# Of more participants the rest would take minutes: DICT grants twenty of these questions at once, then six a minute.
MOST_PARTICIPANTS = 10
_FEW_TOKENS = 3
# Of no entries: DICT answers OK or NOK, and what is checked is that it answers.
_EMPTY_VSYNC = bytes(32)


@dataclass(slots=True)
class _Unmetered:
    """A budget that lets every call through and keeps what DICT says of its buckets."""

    policies: tuple[Policy, ...] = field(default=())

    def take(self, policy: str, tokens: int = 1) -> None:
        """Let a call through."""

    def refund(self, policy: str, tokens: int = 1) -> None:
        """Keep nothing."""

    def drained(self, policy: str) -> None:
        """Keep nothing."""

    def learn(self, policies: Sequence[Policy]) -> None:
        """Keep what DICT says."""
        self.policies = tuple(policies)

    def bucket(self, policy: str) -> Bucket:
        """Return an empty bucket that gains a token a minute: asked for after a 429 only."""
        del policy
        return Bucket(1, 0.0, 1 / 60)


def check_way(settings: DictSettings) -> list[Check]:
    """Check DICT's name, the connection and TLS."""
    address = address_of(settings.url, 443 if settings.url.startswith("https:") else 80)
    named = check_name("DICT's name", address[0], "VSYNC_DICT_URL")
    if named.state is not State.OK:
        return [named]
    checks = [named, check_server("DICT's TLS", address, settings.ssl_context, "VSYNC_DICT_URL")]
    if settings.insecure:
        action = "for a DICT on this machine only; unset VSYNC_DICT_INSECURE"
        checks.append(Check("DICT's TLS", State.WARNING, "nothing that DICT says is verified", action))
    return checks


def check_file_host(settings: DictSettings) -> list[Check]:
    """Check that each host that CID files may come from takes a connection, with TLS."""
    default = 80 if settings.downloads.plain_http else 443
    if settings.downloads.base:
        addresses = [address_of(settings.downloads.base, default)]
    else:
        addresses = [_split(host, address_of(settings.url, default)) for host in sorted(settings.downloads.hosts)]
    variable = "VSYNC_DICT_DOWNLOAD_HOSTS or VSYNC_DICT_DOWNLOAD_BASE"
    return [check_server("file host", address, settings.ssl_context, variable) for address in addresses]


def _split(host: str, api: tuple[str, int]) -> tuple[str, int]:
    """Return host and port of `host[:port]`; without one, the API's port where it is the API's host."""
    name, _, port = host.partition(":")
    return name, int(port) if port else (api[1] if name == api[0] else 443)


def check_certificates(settings: DictSettings, now: datetime) -> list[Check]:
    """Check that each certificate is valid now, and for the next 30 days."""
    checks = []
    by_variable: dict[str, list[ConfiguredCertificate]] = {}
    for one in settings.certificates:
        by_variable.setdefault(one.variable, []).append(one)
    for variable, held in by_variable.items():
        valid = [one for one in held if one.is_valid(now)]
        name = f"certificate of {variable}"
        if not valid:
            last = max(held, key=lambda one: one.ends_at)
            detail = f"none is valid: {last.begins_at:%Y-%m-%d} to {last.ends_at:%Y-%m-%d}"
            checks.append(Check(name, State.FAILED, detail, "put a valid one in its place"))
            continue
        last = max(valid, key=lambda one: one.ends_at)
        state = State.WARNING if ending_soon([last], now) else State.OK
        detail = f"valid until {last.ends_at:%Y-%m-%d}"
        checks.append(Check(name, state, detail, "renew it" if state is State.WARNING else ""))
    return checks


def check_our_ispb(environment: Environment, enabled: Sequence[Participant]) -> list[Check]:
    """Check that our two certificates are of a participant that acts at DICT."""
    requesters = {participant.via or participant.ispb for participant in enabled}
    names = [
        name for name in ("VSYNC_DICT_CLIENT_CERT_FILE", "VSYNC_SIGNING_CERT_FILE") if environment.variables.get(name)
    ]
    checks = []
    for variable in names:
        try:
            certificate = read_certificates(environment.variables, variable, "our certificate")[0]
        except VsyncError:  # said with the variables
            continue
        checks.append(_ispb(f"ISPB of {variable}", certificate, requesters))
    return checks


def _ispb(name: str, certificate: x509.Certificate, requesters: Collection[str]) -> Check:
    named = ispb_of(certificate)
    found = named or cnpj_root_of(certificate)
    if found is None:
        return Check(name, State.WARNING, "it names no ISPB and no CNPJ", "whether DICT accepts it, its calls show")
    if found in requesters:
        return Check(name, State.OK, f"it is of {found}")
    # The CNPJ is that of the holder, who may be somebody else than the participant.
    state = State.FAILED if named else State.WARNING
    action = "put the participant's own in its place, or register whom it is of: `vsync participants list`"
    return Check(name, state, f"it is of {found}, and no enabled participant acts as {found}", action)


def check_signing_key(settings: DictSettings) -> list[Check]:
    """Check that our key signs, wherever it lies, and that our certificate verifies it; asks nothing of DICT."""
    name = "signing key"
    try:
        signs = check_signing(settings)
    except VsyncError as error:
        return [failed(name, error)]
    return [Check(name, State.OK, "it signs, and is our certificate's")] if signs else []


def check_calls(settings: DictSettings, enabled: Sequence[Participant], now: Callable[[], datetime]) -> Iterator[Check]:
    """Ask DICT for each participant's budgets, which also shows its clock, and send it one signed request."""
    asked = enabled[:MOST_PARTICIPANTS]
    with http_client(settings.url, ssl_context=settings.ssl_context, host=settings.host) as http:
        for number, participant in enumerate(asked):
            budget = _Unmetered()
            client = _client(http, settings, participant, budget)
            before = now()
            try:
                answer = client.list_policies()
            except VsyncError as error:
                yield failed(f"a call for {participant.ispb}", error)
                continue
            yield _budgets(participant, budget.policies)
            if number == 0:
                yield _answer(settings)
                yield check_clock(answer.response_time, before, now())
                yield _signed_call(client, budget.policies)
    if len(enabled) > len(asked):
        detail = f"{len(enabled) - len(asked)} more participants were not asked for"
        yield Check("budgets", State.SKIPPED, detail, "`vsync verify --ispb ISPB` asks for one")


def _answer(settings: DictSettings) -> Check:
    if settings.unverified is None:
        return Check("an answer", State.OK, "it is signed by DICT")
    action = "let DICT's signatures be verified here where that is possible"
    return Check("an answer", State.WARNING, settings.unverified, action)


def check_clock(theirs: datetime, before: datetime, after: datetime) -> Check:
    """Compare DICT's clock with ours, which read `before` and `after` the call."""
    ahead = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if ahead <= _CLOCK_WARNING_SECONDS:
        return Check("clock", State.OK, "agrees with DICT's to within 5 s")
    word = "ahead of" if before > theirs else "behind"
    return Check("clock", State.WARNING, f"ours is {ahead:.0f} s {word} DICT's", "have NTP set this machine's clock")


def _client(http: httpx.Client, settings: DictSettings, participant: Participant, budget: _Unmetered) -> DictClient:
    return DictClient(
        http,
        participant=participant.ispb,
        budget=budget,
        record=lambda _call: None,
        sign=settings.sign,
        verify=settings.verify,
        attempts=1,
        call_timeout=_CALL_SECONDS,
    )


def _budgets(participant: Participant, policies: Sequence[Policy]) -> Check:
    name = f"budgets of {participant.ispb}"
    empty = [policy.name for policy in policies if policy.available_tokens < _FEW_TOKENS <= policy.capacity]
    if empty:
        return Check(name, State.WARNING, f"nearly used up: {', '.join(empty)}", "wait, or see who else spends them")
    return Check(name, State.OK, f"{len(policies)} policies, none of them used up")


def _signed_call(client: DictClient, policies: Sequence[Policy]) -> Check:
    left = {policy.name: policy.available_tokens for policy in policies}.get(SYNC_VERIFICATIONS_WRITE, _FEW_TOKENS)
    if left < _FEW_TOKENS:
        return Check("a signed call", State.SKIPPED, "too few tokens are left for one", "run this again in a minute")
    try:
        client.create_sync_verification(KeyType.CPF, _EMPTY_VSYNC)
    except VsyncError as error:
        return failed("a signed call", error)
    return Check("a signed call", State.OK, "DICT accepts our signature, and we accept the answer's")

"""Populations: realistic Brazilian keys, accounts and owners, all of it made up from a seed.

The same ISPB and seed give the same entries in the same order, each key once, in constant memory. Numbers that must
not repeat (tax ids, phones, e-mails) come from a walk through their whole number space that visits each once; ISPB
and seed choose where the walk begins, so that two populations have keys in common only where their stretches meet.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType
from vsync_dagster.simulator import names
from vsync_dagster.simulator.errors import SimulatorStateError
from vsync_dagster.simulator.tax_ids import CNPJ_ROOTS, CPF_BASES, cnpj, cpf, lettered_cnpj

_T = TypeVar("_T")
_PHONES = len(names.AREA_CODES) * 10**8
_EMAILS = 10**9
# A prime: it shares no factor with any of the spaces, so that its steps visit every number of each once.
_STRIDE = 618_034_003
_PIX_BEGAN = datetime(2020, 11, 16, 12, tzinfo=UTC)
_FIRST_ACCOUNTS = datetime(2005, 1, 1, 3, tzinfo=UTC)  # 03:00 UTC is the start of a day in Brazil
_DAYS_OF_PIX = 1_800
_ACCOUNT_TYPES = ("CACC", "CACC", "CACC", "SVGS", "SVGS", "TRAN", "TRAN", "SLRY")


class _Owner(NamedTuple):
    type: str
    tax_id: str
    name: str
    trade_name: str | None


class _Dice:
    """Endless choices out of a few random bytes: cheaper than a random.Random for every entry."""

    def __init__(self, random_bytes: bytes) -> None:
        self._left = int.from_bytes(random_bytes)

    def below(self, limit: int) -> int:
        """Return a number from 0 to `limit` - 1."""
        self._left, number = divmod(self._left, limit)
        return number

    def pick(self, choices: Sequence[_T]) -> _T:
        """Return one of the choices."""
        return choices[self.below(len(choices))]


def generate(ispb: str, count: int, seed: int | str, key_types: Sequence[str] = tuple(KeyType)) -> Iterator[Entry]:
    """Yield `count` entries of a participant, the key types taking turns.

    Raises:
        SimulatorStateError: more keys of a type are asked for than there can be.
    """
    kinds = tuple(dict.fromkeys(key_types))
    if count > len(kinds) * CNPJ_ROOTS:
        raise SimulatorStateError(f"there are not {count} different keys of these key types")
    secret = hashlib.blake2b(f"{ispb}/{seed}".encode()).digest()
    makers = [(key_type, _MAKERS[KeyType(key_type)], _offset(secret, key_type)) for key_type in kinds]
    for index in range(count):
        turn, place = index % len(makers), index // len(makers)
        key_type, make, offset = makers[turn]
        drawn = hashlib.blake2b(b"%d/%d" % (turn, place), key=secret).digest()
        key, owner, dice = make(offset + place, drawn)
        yield _entry(ispb, key_type, key, owner, _uuid4(drawn[:16]), dice)


def lettered(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries as API 2.12.1 permits them since: letters in either case in CNPJs and accounts, accounts OTHR.

    Half of the companies have a CNPJ with letters, every third account number has some, every fifth account is OTHR.
    A key stays the only one of its kind, since another one is made of each.
    """
    for number, entry in enumerate(entries):
        changes: dict[str, Any] = {}
        if entry.owner_type == "LEGAL_PERSON" and int(entry.owner_tax_id[:8]) % 2:
            root = int(entry.owner_tax_id[:8])
            changes["owner_tax_id"] = lettered_cnpj(root) if root % 4 == 1 else lettered_cnpj(root).lower()
            if entry.key_type == KeyType.CNPJ:
                changes["key"] = changes["owner_tax_id"]
        if number % 3 == 0:
            changes["account_number"] = f"{entry.account_number[:-2]}{'xY' if number % 2 else 'K'}"
        if number % 5 == 0:
            changes["account_type"] = "OTHR"
        yield replace(entry, **changes)


def _offset(secret: bytes, key_type: str) -> int:
    return int.from_bytes(hashlib.blake2b(key_type.encode(), key=secret, digest_size=8).digest())


def _entry(ispb: str, key_type: str, key: str, owner: _Owner, request_id: UUID, dice: _Dice) -> Entry:
    created_at = _PIX_BEGAN + timedelta(milliseconds=dice.below(_DAYS_OF_PIX * 86_400_000))
    earlier = dice.below(400) if dice.below(10) == 0 else 0
    return Entry(
        key_type=key_type,
        key=key,
        participant=ispb,
        branch=_branch(dice),
        account_number=_account_number(dice),
        account_type=dice.pick(_ACCOUNT_TYPES),
        account_opened_at=_FIRST_ACCOUNTS + timedelta(days=dice.below(5_700)),
        owner_type=owner.type,
        owner_tax_id=owner.tax_id,
        owner_name=owner.name,
        owner_trade_name=owner.trade_name,
        created_at=created_at,
        key_owned_since=created_at - timedelta(days=earlier),
        request_id=request_id,
    )


def _branch(dice: _Dice) -> str | None:
    match dice.below(10):
        case 0:
            return None
        case 1 | 2 | 3:
            return f"{dice.below(9_999) + 1:04d}"
        case _:
            return "0001"


def _account_number(dice: _Dice) -> str:
    digits = dice.pick((5, 7, 8, 10, 12, 20))
    return f"{dice.below(10 ** min(digits, 12)):0{digits}d}"


def _person(dice: _Dice, tax_id: str | None = None) -> _Owner:
    middle = f" {dice.pick(names.SURNAMES)}" if dice.below(3) == 0 else ""
    name = f"{dice.pick(names.GIVEN_NAMES)}{middle}{dice.pick(names.PARTICLES)} {dice.pick(names.SURNAMES)}"
    return _Owner("NATURAL_PERSON", tax_id or cpf(dice.below(CPF_BASES)), name, None)


def _company(dice: _Dice, tax_id: str | None = None) -> _Owner:
    trade = dice.pick(names.TRADES)
    name = f"{trade} {dice.pick(names.SURNAMES)} {dice.pick(names.COMPANY_FORMS)}"
    trade_name = None if dice.below(4) == 0 else f"{trade} {dice.pick(names.NICKNAMES)}"
    return _Owner("LEGAL_PERSON", tax_id or cnpj(dice.below(CNPJ_ROOTS)), name, trade_name)


def _person_or_company(dice: _Dice) -> _Owner:
    return _company(dice) if dice.below(5) == 0 else _person(dice)


def _cpf_key(place: int, drawn: bytes) -> tuple[str, _Owner, _Dice]:
    dice, key = _Dice(drawn[32:]), cpf(place * _STRIDE % CPF_BASES)
    return key, _person(dice, key), dice


def _cnpj_key(place: int, drawn: bytes) -> tuple[str, _Owner, _Dice]:
    dice, key = _Dice(drawn[32:]), cnpj(place * _STRIDE % CNPJ_ROOTS)
    return key, _company(dice, key), dice


def _phone_key(place: int, drawn: bytes) -> tuple[str, _Owner, _Dice]:
    dice = _Dice(drawn[32:])
    area, number = divmod(place * _STRIDE % _PHONES, 10**8)
    return f"+55{names.AREA_CODES[area]}9{number:08d}", _person_or_company(dice), dice


def _email_key(place: int, drawn: bytes) -> tuple[str, _Owner, _Dice]:
    dice = _Dice(drawn[32:])
    owner = _person_or_company(dice)
    first, last = (_plain(dice.pick(one)) for one in (names.GIVEN_NAMES, names.SURNAMES))
    # No name ends in a digit, so the number keeps two addresses apart.
    local = f"{first}{dice.pick(('.', '_', '-', '+', ''))}{last}{place * _STRIDE % _EMAILS}"
    return f"{local}@{dice.pick(names.MAIL_DOMAINS)}", owner, dice


def _evp_key(place: int, drawn: bytes) -> tuple[str, _Owner, _Dice]:
    del place  # 122 random bits do not repeat
    dice = _Dice(drawn[32:])
    return str(_uuid4(drawn[16:32])), _person_or_company(dice), dice


_MAKERS: dict[KeyType, Callable[[int, bytes], tuple[str, _Owner, _Dice]]] = {
    KeyType.CPF: _cpf_key,
    KeyType.CNPJ: _cnpj_key,
    KeyType.PHONE: _phone_key,
    KeyType.EMAIL: _email_key,
    KeyType.EVP: _evp_key,
}


def _uuid4(random_bytes: bytes) -> UUID:
    return UUID(bytes=random_bytes, version=4)


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFD", name)
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha()).lower()

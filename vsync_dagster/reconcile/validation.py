"""Whether an entry of DICT can be held here, and which rules of the official schema it breaks.

What DICT has signed and what hashes to the CID that was asked for is what DICT holds, whatever the schema says: the
participant's base must be "exactly as in DICT" (Manual Operacional do DICT, chapter 9). Names, branches and e-mails
that were registered under older rules live on. So a broken rule is counted and shown, and the entry is applied. Only
what the database cannot hold, or what is not safe to hold, is refused.

Source of the rules: DICT API 2.12.1, tag Entry (keys) and schemas BrazilianAccount, AccountType and Person. Check
digits are DICT's business. Letters are taken in either case: 2.13 announces upper case only.
"""

import re
import unicodedata

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.ispb import is_ispb
from vsync_dagster.reconcile.keys import KeyType

MAX_KEY_LENGTH = 77
"""Key.maxLength, and the size of our columns."""

MAX_TEXT_LENGTH = 255
"""Of every other attribute. The longest official one, a name, has 150 characters; whatever came before had not more."""

# Controls, line and paragraph separators, surrogates: they forge lines of logs and files, or cannot be encoded.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Zl", "Zp", "Cs"})

_ACCOUNT_TYPES = frozenset({"CACC", "TRAN", "SLRY", "SVGS", "OTHR"})
_DOMAIN_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# A CNPJ may hold letters from July 2026 on (IN RFB 2.229/2024). Of an owner's, 2.12.1 still says digits; but the owner
# of a CNPJ key has that very CNPJ, and 2.13 says letters of both.
_CNPJ = re.compile(r"[0-9A-Za-z]{14}")
_CPF = re.compile(r"[0-9]{11}")
_KEY_PATTERNS: dict[str, re.Pattern[str]] = {
    KeyType.CPF: _CPF,
    KeyType.CNPJ: _CNPJ,
    KeyType.PHONE: re.compile(r"\+[1-9][0-9]{1,14}"),
    KeyType.EMAIL: re.compile(rf"[a-z0-9.!#$'*+/=?^_`{{|}}~-]+@{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*"),
    KeyType.EVP: re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
}
_BRANCH = re.compile(r"[0-9]{1,4}")
_ACCOUNT_NUMBER = re.compile(r"[0-9A-Za-z]{1,20}")
_PERSON_NAME = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' -]{1,150}")
_COMPANY_NAME = re.compile(r"[\u0020-\u007E\u00A1-\u00FF]{1,150}")
_TRADE_NAME = re.compile(r"(?!\*+\Z)[\u0020-\u007E\u00A1-\u00FF]{1,100}")

_TEXTS = (
    *("key_type", "key", "participant", "branch", "account_number", "account_type"),
    *("owner_type", "owner_tax_id", "owner_name", "owner_trade_name"),
)


def refusals(entry: Entry, key_type: str) -> list[str]:
    """Return why an entry must not be applied, one reason an attribute; an empty list if it may be.

    Names of attributes only, never values: what is returned is stored and logged.

    Args:
        entry: DICT's entry; it hashes to the CID that was asked for.
        key_type: that of the set in which the CID was found. An entry of another type would go into another set, and
            the difference would stay.
    """
    found = [
        reason for name in _TEXTS if (reason := _unsafe(name, getattr(entry, name) or "", _longest(name))) is not None
    ]
    if not entry.key:
        found.append("key is empty")
    if entry.key_type != key_type:
        found.append("key_type is not that of the set in which the CID was found")
    return found


def broken_rules(entry: Entry) -> list[str]:
    """Return the rules of API 2.12.1 that an entry breaks, by the names of their schemas; an empty list if none.

    Names only, never values. A key type that was added after this was written has no rule here.
    """
    checks = {
        f"Key.{entry.key_type}": _is_key(entry.key_type, entry.key),
        "BrazilianAccount.Participant": is_ispb(entry.participant),
        "BrazilianAccount.Branch": not entry.branch or _matches(_BRANCH, entry.branch),
        "BrazilianAccount.AccountNumber": _matches(_ACCOUNT_NUMBER, entry.account_number),
        "AccountType": entry.account_type in _ACCOUNT_TYPES,
        **_owner_checks(entry),
    }
    return [rule for rule, holds in checks.items() if not holds]


def _longest(attribute: str) -> int:
    return MAX_KEY_LENGTH if attribute == "key" else MAX_TEXT_LENGTH


def _unsafe(attribute: str, text: str, longest: int) -> str | None:
    if len(text) > longest:
        return f"{attribute} is longer than {longest} characters"
    if any(unicodedata.category(character) in _UNSAFE_CATEGORIES for character in text):
        return f"{attribute} has control characters"
    return None


def _owner_checks(entry: Entry) -> dict[str, bool]:
    match entry.owner_type:
        case "NATURAL_PERSON":
            tax_id, name = _CPF, _PERSON_NAME
        case "LEGAL_PERSON":
            tax_id, name = _CNPJ, _COMPANY_NAME
        case _:
            return {"Person.Type": False}
    return {
        "Person.TaxIdNumber": _matches(tax_id, entry.owner_tax_id),
        "Person.Name": _matches(name, entry.owner_name),
        "Person.TradeName": not entry.owner_trade_name or _matches(_TRADE_NAME, entry.owner_trade_name),
    }


def _is_key(key_type: str, key: str) -> bool:
    pattern = _KEY_PATTERNS.get(key_type)
    return pattern is None or _matches(pattern, key)


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None

"""Whether an entry may be written: the official schema, and nothing beyond it.

Source: DICT API 2.6.1, schemas Key, BrazilianAccount and Person. Check digits are DICT's business, and keys that were
registered under older rules (an `&` in an e-mail, a numeric CNPJ before 2026) stay valid.
"""

import re

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster.reconcile.keys import KeyType

MAX_KEY_LENGTH = 77
_ACCOUNT_TYPES = frozenset({"CACC", "TRAN", "SLRY", "SVGS"})
_DOMAIN_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# From July 2026 a CNPJ has letters in its first twelve places (IN RFB 2.229/2024).
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_CPF = re.compile(r"[0-9]{11}")
_KEY_PATTERNS: dict[str, re.Pattern[str]] = {
    KeyType.CPF: _CPF,
    KeyType.CNPJ: _CNPJ,
    KeyType.PHONE: re.compile(r"\+[1-9][0-9]{1,14}"),
    # `&` and `%` were legal in DICT API 1; such keys live on.
    KeyType.EMAIL: re.compile(rf"[a-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_DOMAIN_LABEL}(?:\.{_DOMAIN_LABEL})*"),
    KeyType.EVP: re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
}
_ISPB = re.compile(r"[0-9]{8}")
_BRANCH = re.compile(r"[0-9]{1,4}")
_ACCOUNT_NUMBER = re.compile(r"[0-9]{1,20}")
_PERSON_NAME = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ' -]{1,150}")
_COMPANY_NAME = re.compile(r"[\u0020-\u007E\u00A1-\u00FF]{1,150}")
_TRADE_NAME = re.compile(r"[\u0020-\u007E\u00A1-\u00FF]{1,100}")


def violations(entry: Entry) -> list[str]:
    """Return the names of the entry's attributes that break the official schema; an empty list if none does.

    Names only, never values: what is returned is stored and logged.
    """
    checks = {
        "key": _is_key(entry.key_type, entry.key),
        "participant": _matches(_ISPB, entry.participant),
        "branch": not entry.branch or _matches(_BRANCH, entry.branch),
        "account_number": _matches(_ACCOUNT_NUMBER, entry.account_number),
        "account_type": entry.account_type in _ACCOUNT_TYPES,
        **_owner_checks(entry),
    }
    return [name for name, valid in checks.items() if not valid]


def _owner_checks(entry: Entry) -> dict[str, bool]:
    match entry.owner_type:
        case "NATURAL_PERSON":
            tax_id, name = _CPF, _PERSON_NAME
        case "LEGAL_PERSON":
            tax_id, name = _CNPJ, _COMPANY_NAME
        case _:
            return {"owner_type": False}
    return {
        "owner_tax_id": _matches(tax_id, entry.owner_tax_id),
        "owner_name": _matches(name, entry.owner_name),
        "owner_trade_name": not entry.owner_trade_name or _matches(_TRADE_NAME, entry.owner_trade_name),
    }


def _is_key(key_type: str, key: str) -> bool:
    # A type DICT added after this was written has no pattern here, and its keys are DICT's word.
    pattern = _KEY_PATTERNS.get(key_type)
    return 0 < len(key) <= MAX_KEY_LENGTH and (pattern is None or _matches(pattern, key))


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None

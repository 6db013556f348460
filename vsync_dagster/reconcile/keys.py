"""Key types, in DICT's own words."""

from enum import StrEnum


class KeyType(StrEnum):
    """The five key types of DICT API 2.12.1, each of which has a CID set and a VSync of its own.

    DICT may add types (OpenAPI, KeyType: "Novos tipos podem surgir"), so what arrives from outside is kept as plain
    text where an unknown value must not stop a sync.
    """

    CPF = "CPF"
    CNPJ = "CNPJ"
    PHONE = "PHONE"
    EMAIL = "EMAIL"
    EVP = "EVP"

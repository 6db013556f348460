"""What a mapping may say, and the one line that tells what is wrong with it."""

import pytest

from vsync_dagster.local_db.key_table.mapping import KeyMappingError, parse
from vsync_dagster_tests.their_table import MAPPING


def test_only_what_differs_is_said() -> None:
    mapping = parse('table = "keys"\n[columns]\nkey = "pix_key"')
    assert (str(mapping), mapping.column_of("key"), mapping.column_of("cid")) == ("public.keys", "pix_key", "cid")
    assert (mapping.constants, mapping.words, mapping.time_zone) == ({}, {}, None)


def test_the_constant_ispb_may_hold_letters_and_keeps_their_case() -> None:
    mapping = parse('table = "k"\n[constants]\nparticipant_ispb = "abCD1234"')
    assert mapping.constants == {"participant_ispb": "abCD1234"}


def test_words_are_one_or_several_and_written_as_postgresql_writes_them() -> None:
    words = parse('table = "k"\n[words.status]\nACTIVE = [true, "x"]\nDELETED = false\nPENDING = 0').words["status"]
    assert words == {"ACTIVE": ("true", "x"), "DELETED": ("false",), "PENDING": ("0",)}
    assert parse(MAPPING).words["key_type"] == {"PHONE": ("TELEFONE",), "EVP": ("ALEATORIA", "EVP")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("table = ", "the mapping is not TOML"),
        ('schema = "core"', "table is missing or no text"),
        ("table = 7", "table is missing or no text"),
        ('table = "k"\n[colums]\nkey = "k"', "has the key colums, which there is not: there are schema, table,"),
        ('table = "k"\ncolumns = "k"', r"columns is no table: it begins with a line \[columns\]"),
        ('table = "k"\n[columns]\nkey = 7', r"\[columns\] key is no text"),
        ('table = "k"\n[columns]\npix_key = "key"', r"\[columns\] names the column pix_key, which there is not"),
        ('table = "k"\n[columns]\nkey = "cid"', "the column cid of public.k stands for 2 of our columns"),
        ('table = "k"\n[constants]\nkey = "x"', r"\[constants\] names the column key, which there is not"),
        ('table = "k"\n[constants]\nparticipant_ispb = "1234567"', "participant_ispb is not an ISPB"),
        ('table = "k"\n[columns]\nbranch = "b"\n[constants]\nbranch = "1"', r"branch is in \[columns\] and in"),
        ('table = "k"\n[words.key]\nCPF = "x"', r"\[words\] names the column key, which there is not"),
        ('table = "k"\n[words]\nkey_type = "x"', r"\[words\] key_type is no table"),
        ('table = "k"\n[words.key_type]\nCPF = 1.5', r"\[words.key_type\] CPF is no word"),
        ('table = "k"\n[words.key_type]\nCPF = []', r"\[words.key_type\] CPF is no word"),
        ('table = "k"\n[words.key_type]\nCPF = "x"\nEVP = ["y", "x"]', r"\[words.key_type\] has x 2 times"),
        ('table = "k"\n[constants]\nowner_type = "x"\n[words.owner_type]\nX = "y"', "owner_type is in"),
        ('table = "k"\n[words.status]\nACTIVE = "x"', r"\[words.status\] does not say what DELETED is called"),
        ('table = "k"\n[words.status]\nACTIVE = "x"\nGONE = "y"', r"\[words.status\] has the word GONE"),
        ('table = "k"\ntime_zone = "Brasilia"', "time_zone Brasilia is none"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text: str, told: str) -> None:
    with pytest.raises(KeyMappingError, match=told) as error:
        parse(text)
    assert "\n" not in str(error.value)

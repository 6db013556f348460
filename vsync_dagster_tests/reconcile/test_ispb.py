"""What an ISPB is (DICT API 2.12.1, schema ISPB), and when two of them are spellings of one."""

import pytest

from vsync_dagster.reconcile.ispb import is_ispb, other_spelling


@pytest.mark.parametrize("text", ["12345678", "00000000", "ABCD1234", "abcd1234", "aBcDeFgH"])
def test_eight_digits_or_letters_in_either_case(text: str) -> None:
    assert is_ispb(text)


@pytest.mark.parametrize(
    "text",
    [
        "1234567",
        "123456789",  # the official pattern has no end
        "12345678\n",
        "1234567-",
        "1234567é",
        "abcdefg\u017f",  # LATIN SMALL LETTER LONG S, equal to `s` where the case is ignored
        "abcdefg\u212a",  # KELVIN SIGN, likewise `k`
        "١٢٣٤٥٦٧٨",
        "",
    ],
)
def test_nothing_else(text: str) -> None:
    assert not is_ispb(text)


def test_spellings_differ_in_the_case_of_letters_alone() -> None:
    assert other_spelling("abcd1234", "ABCD1234")
    assert other_spelling("ABCD1234", "abcD1234")
    assert not other_spelling("ABCD1234", "ABCD1234")
    assert not other_spelling("ABCD1234", "ABCD1235")

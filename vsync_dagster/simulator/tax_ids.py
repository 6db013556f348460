"""CPF and CNPJ with their check digits (Receita Federal, modulo 11).

A CNPJ may hold letters in its first twelve places (IN RFB 2.229/2024): each counts by its ASCII code less 48, which of
a digit is its value.
"""

# A CPF of nine equal digits has the right check digits and is invalid all the same: ten of 10**9 are left out.
CPF_BASES = 10**9 - 10
CNPJ_ROOTS = 10**8
_REPEATED_ONE = 111_111_111
_CNPJ_WEIGHTS = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def cpf(number: int) -> str:
    """Return the CPF that stands at a place from 0 to `CPF_BASES` - 1 in the row of all valid ones."""
    repeated, rest = divmod(number, _REPEATED_ONE - 1)
    base = f"{repeated * _REPEATED_ONE + 1 + rest:09d}"
    digits = [int(digit) for digit in base]
    first = _check(sum(digit * (10 - place) for place, digit in enumerate(digits)))
    digits.append(first)
    second = _check(sum(digit * (11 - place) for place, digit in enumerate(digits)))
    return f"{base}{first}{second}"


def cnpj(root: int) -> str:
    """Return the CNPJ of the head office of a root from 0 to `CNPJ_ROOTS` - 1."""
    return _with_check_digits(f"{root:08d}0001")


def lettered_cnpj(root: int) -> str:
    """Return a CNPJ with letters, in upper case, of a root from 0 to `CNPJ_ROOTS` - 1: another for each root."""
    letters = "".join(chr(ord("A") + int(digit)) for digit in f"{root:08d}"[:3])
    return _with_check_digits(f"{letters}{root % 10**5:05d}Z001")


def _with_check_digits(base: str) -> str:
    values = [ord(character) - ord("0") for character in base]
    first = _check(sum(map(int.__mul__, values, _CNPJ_WEIGHTS[1:])))
    values.append(first)
    second = _check(sum(map(int.__mul__, values, _CNPJ_WEIGHTS)))
    return f"{base}{first}{second}"


def _check(total: int) -> int:
    remainder = total % 11
    return 0 if remainder < 2 else 11 - remainder

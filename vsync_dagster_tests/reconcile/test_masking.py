import pytest

from vsync_dagster.reconcile.masking import mask_key


@pytest.mark.parametrize(
    ("key_type", "key", "masked"),
    [
        ("CPF", "12345678901", "*********01"),
        ("CNPJ", "12345678000195", "************95"),
        ("PHONE", "+5511987654321", "************21"),
        ("EVP", "123e4567-e89b-42d3-a456-426614174000", "*" * 34 + "00"),
        ("EMAIL", "fulano@example.com", "f***@e***.com"),
        ("EMAIL", "fulano@mail.example.com.br", "f***@m***.br"),
        ("EMAIL", "a@b", "***@***"),
        ("EMAIL", "a@b.com", "***@***.com"),
        ("EMAIL", "fulano@localhost", "f***@l***"),
        ("EMAIL", "not-an-address", "************ss"),
        ("SOMETHING_NEW", "abcdef", "****ef"),
        ("CPF", "1234", "****"),
        ("CPF", "", ""),
    ],
)
def test_masked_keys(key_type: str, key: str, masked: str) -> None:
    assert mask_key(key_type, key) == masked

"""How a key is shown to people: recognisable to whoever knows it, of no use to anybody else."""

from vsync_dagster.reconcile.keys import KeyType

_SHOWN = 2


def mask_key(key_type: str, key: str) -> str:
    """Return a key with everything but its last two characters as `*`; e-mails as `j***@e***.com`.

    Of a key too short to hide anything nothing is shown.
    """
    if key_type == KeyType.EMAIL and "@" in key:
        return _mask_email(key)
    if len(key) <= 2 * _SHOWN:
        return "*" * len(key)
    return "*" * (len(key) - _SHOWN) + key[-_SHOWN:]


def _mask_email(key: str) -> str:
    # Three stars whatever the length: lengths help to guess.
    local, _, domain = key.rpartition("@")
    host, *top = domain.rsplit(".", 1)
    return f"{_initial(local)}***@{'.'.join([f'{_initial(host)}***', *top])}"


def _initial(text: str) -> str:
    return text[0] if len(text) > 1 else ""

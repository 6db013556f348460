"""What the tests of an attached key table share: entries, their own writes, and fixes."""

from vsync_dagster.reconcile.entry import Entry
from vsync_dagster_tests.local_db.parts import make_entry

ISPB = "12345678"
EVENTS = "select event_type, key_type, entry_id, cid from cid_events order by event_id"
THEIR_KEY = """
insert into core.pix_keys (pix_key, tipo, conta, tipo_conta, documento, nome, solicitacao, cid, situacao)
values (%s, 'TELEFONE', '0001', 'CORRENTE', '52998224725', 'Ana', %s, %s, %s)
"""
A_REQUEST = "01010101-0101-4101-8101-010101010101"


def entry(number: int, **changes: str | None) -> Entry:
    return make_entry(number, participant=ISPB, **changes)

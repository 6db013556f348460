"""An entry (vínculo) as DICT holds it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vsync_dagster.reconcile.cid import EntryAttributes, compute_cid


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """A key, its account and its owner, with the request id that created it. Personal data: has no repr.

    The CID covers neither the three dates nor `owner_type`: a VSync cannot see drift in those.
    """

    key_type: str
    key: str
    participant: str
    branch: str | None
    account_number: str
    account_type: str
    account_opened_at: datetime
    owner_type: str
    owner_tax_id: str
    owner_name: str
    owner_trade_name: str | None
    created_at: datetime
    key_owned_since: datetime
    request_id: UUID

    def attributes(self) -> EntryAttributes:
        """Return the nine attributes that the CID covers."""
        return EntryAttributes(
            key_type=self.key_type,
            key=self.key,
            owner_tax_id=self.owner_tax_id,
            owner_name=self.owner_name,
            owner_trade_name=self.owner_trade_name,
            participant=self.participant,
            branch=self.branch,
            account_number=self.account_number,
            account_type=self.account_type,
        )

    def cid(self) -> bytes:
        """Return the 32-byte CID."""
        return compute_cid(self.attributes(), self.request_id)

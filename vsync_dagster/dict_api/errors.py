"""What can go wrong between us and DICT, named by what to do next. No text holds a body, a query or a key."""

from datetime import datetime

from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError


class DictUnavailableError(TransientError):
    """DICT did not answer, or answered 5xx until the attempts were used up.

    `retry_at` is when DICT asked to be called again, if it did.
    """

    def __init__(self, text: str, retry_at: datetime | None = None) -> None:
        super().__init__(text)
        self.retry_at = retry_at


class DictAnswerError(TransientError):
    """DICT's answer is not what its specification describes, or is not an answer to what was asked."""


class DictRejectedError(PermanentError):
    """DICT refuses the request (4xx). `kind` is DICT's problem type, such as `ParticipantInvalid`."""

    def __init__(self, operation: str, status: int, kind: str, correlation_id: str | None = None) -> None:
        super().__init__(f"DICT rejects {operation}: {kind} (HTTP {status})")
        self.operation = operation
        self.status = status
        self.kind = kind
        self.correlation_id = correlation_id


class DictNotFoundError(DictRejectedError):
    """404: what was asked for is not, or no longer, there."""

    code = "dict-rejected"


class DictForbiddenError(DictRejectedError):
    """403: not this participant's, or not permitted to it."""


class DictIdentityError(PermanentError):
    """The TLS connection failed over a certificate, DICT's or ours; nothing was asked."""


class HsmUnavailableError(TransientError):
    """The token of our signing key is not there, or does not sign at the moment; nothing was sent."""


class HsmPinLockedError(PermanentError):
    """The token of our signing key takes no PIN any more, until its officer resets it."""


class SignatureRefusedError(RefusedError):
    """A message is not signed, or not by whom and over what it must be; no byte of it is believed."""

    def __init__(self, why: str, message: str = "a message") -> None:
        super().__init__(f"the signature of {message} is refused: {why}")
        self.why = why

    def of(self, message: str) -> "SignatureRefusedError":
        """Return the same error, with whose message it is: "DICT's answer to getEntryByCid"."""
        return SignatureRefusedError(self.why, message)


class EventLogError(RefusedError):
    """The CID event log contradicts itself or cannot be paged through; the CID file is needed instead."""


class LogTooLongError(EventLogError):
    """The event log has more pages than the caller wants to pay for."""

    code = "event-log"


class CidFileError(TransientError):
    """A CID file could not be had this time; `ask_again` tells whether a new file must be asked for."""

    def __init__(self, text: str, ask_again: bool = False) -> None:
        super().__init__(text)
        self.ask_again = ask_again


class CidFileContentError(RefusedError):
    """A CID file arrived as DICT describes it, and still cannot be a set of CIDs; nothing of it is used."""


class CidFilePlaceError(RefusedError):
    """A CID file is at a place that it may not come from; it is not asked for there."""

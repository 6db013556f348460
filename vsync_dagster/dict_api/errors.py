"""What can go wrong between us and DICT, named by what to do next. No text holds a body, a query or a key."""

from datetime import datetime

from vsync_dagster.reconcile.errors import PermanentError, RefusedError, TransientError


class DictUnavailableError(TransientError):
    """DICT did not answer, or answered 5xx until the attempts were used up.

    Attributes:
        retry_at: when DICT asked to be called again, if it did.
        status: the HTTP status of the last answer; None where there was none.
        kind: the problem type of the last answer, if DICT signed one.
        correlation_id: DICT's CorrelationId of the last answer, if it told one.
    """

    def __init__(
        self,
        text: str,
        retry_at: datetime | None = None,
        *,
        status: int | None = None,
        kind: str | None = None,
        correlation_id: str | None = None,
    ) -> None:
        super().__init__(text)
        self.retry_at = retry_at
        self.status = status
        self.kind = kind
        self.correlation_id = correlation_id


class DictAnswerError(TransientError):
    """DICT's answer is not what its specification describes, or is not an answer to what was asked."""

    def __init__(self, text: str, *, status: int | None = None, correlation_id: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.correlation_id = correlation_id


class DictRejectedError(PermanentError):
    """The request is refused (4xx). `kind` is DICT's problem type, such as `ParticipantInvalid`.

    Where DICT has not signed a problem document with that status, `kind` says so instead.
    """

    def __init__(self, operation: str, status: int, kind: str, correlation_id: str | None = None) -> None:
        super().__init__(f"DICT rejects {operation}: {kind} (HTTP {status})")
        self.operation = operation
        self.status = status
        self.kind = kind
        self.correlation_id = correlation_id


class DictNotFoundError(DictRejectedError):
    """A signed 404 NotFound or 410 Gone: what was asked for is not, or no longer, there."""

    code = "dict-rejected"


class DictForbiddenError(DictRejectedError):
    """A signed 403 Forbidden: not this participant's, or not permitted to it."""


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


KEY_TYPE_ERRORS = (
    CidFileError,
    CidFileContentError,
    CidFilePlaceError,
    DictAnswerError,
    DictRejectedError,
    DictUnavailableError,
    EventLogError,
)
"""What keeps one key type's log or file from being had, and says nothing of the other key types."""

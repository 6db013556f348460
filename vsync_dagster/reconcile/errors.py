"""Errors, named by what to do next.

Every error that this application raises on purpose is one of three kinds, so that whoever catches it (a retry, a
report, an operator) knows what to do without reading its text. The text is one line, says what to do, and holds no
personal data: no key, name, tax id or request id.
"""


class VsyncError(Exception):
    """Base of all errors raised on purpose; its text is safe to log, store and publish."""


class TransientError(VsyncError):
    """Passes by itself: try again later (a timeout, a 5xx, a lost connection)."""


class PermanentError(VsyncError):
    """Stays until a person mends something: configuration, certificates, a request that DICT rejects."""


class EnvironmentVariableError(PermanentError):
    """An environment variable that is needed is missing or malformed; the text names it."""


class RefusedError(VsyncError):
    """Not done on purpose, because doing it could damage the key directory or report something untrue."""

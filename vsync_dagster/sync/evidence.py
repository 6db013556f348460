"""Keeping the evidence of every call to DICT (`dict_calls`)."""

import logging
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Self

from vsync_dagster.dict_api.calls import CLOCK_TOLERANCE, DictCall
from vsync_dagster.local_db import calls
from vsync_dagster.local_db.database import Database, Session

_log = logging.getLogger(__name__)

# Look-ups are many and alike. What a process that is killed may lose of them is as much as it loses of their answers.
BATCHED = "getEntryByCid"
BATCH = 50


@dataclass(slots=True)
class CallRecorder:
    """Writes each call down before its answer is used, look-ups in batches; what is left, when the block ends.

    Safe for several threads.
    """

    database: Database | Session
    run_id: str | None
    about_clocks: str = "docs/messages.md#clock"
    _warned: bool = False
    _calls: list[DictCall] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: DictCall) -> None:
        """Keep a call."""
        with self._lock:
            self._compare_clocks(call)
            self._calls.append(call)
            if call.operation != BATCHED or len(self._calls) >= BATCH:
                self._flush()

    def _compare_clocks(self, call: DictCall) -> None:
        """Warn once where this machine's clock is not DICT's: times of keys and of the event log are by DICT's."""
        difference = call.clock_difference
        if difference is None or self._warned or abs(difference) <= CLOCK_TOLERANCE:
            return
        self._warned = True
        way = "behind" if difference > timedelta(0) else "ahead of"
        seconds = abs(difference).total_seconds()
        _log.warning("this machine's clock is %.0f s %s DICT's (see %s)", seconds, way, self.about_clocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._calls:
            self.database.retrying(lambda connection: calls.record(connection, self.run_id, self._calls))
            self._calls.clear()

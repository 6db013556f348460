"""Keeping the evidence of every call to DICT (`dict_calls`)."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from vsync_dagster.dict_api.calls import DictCall
from vsync_dagster.local_db import calls
from vsync_dagster.local_db.database import Database, Session

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
    _calls: list[DictCall] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, call: DictCall) -> None:
        """Keep a call."""
        with self._lock:
            self._calls.append(call)
            if call.operation != BATCHED or len(self._calls) >= BATCH:
                self._flush()

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

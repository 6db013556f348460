"""A Pulsar producer whose failures are ours: connected when first used, and anew after each failure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

import pulsar

from vsync_dagster.events.messages import Message
from vsync_dagster.reconcile.errors import PermanentError, TransientError

# Pulsar's names of what another try would not mend.
_FINAL = frozenset(
    {
        "AuthenticationError",
        "AuthorizationError",
        "IncompatibleSchema",
        "InvalidConfiguration",
        "InvalidTopicName",
        "InvalidUrl",
        "MessageTooBig",
        "TopicTerminated",
    }
)
_GRACE_SECONDS = 5  # Pulsar's own timer ends a send; ours is there in case it never does


class PublishError(TransientError):
    """The broker took no event in time. `reason` is Pulsar's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the broker of VSYNC_PULSAR_URL did not take an event: {reason}; it stays in the outbox")
        self.reason = reason


class PublishRefusedError(PermanentError):
    """The broker, or its client, refuses to publish, and will again. `reason` is Pulsar's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"cannot publish: {reason}; check VSYNC_PULSAR_URL and VSYNC_PULSAR_TOPIC")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sent:
    """Which messages the broker has stored, by the number they were handed in under, and what happened to others."""

    acknowledged: list[int]
    error: PublishError | PublishRefusedError | None


class Publisher:
    """Publishes to one topic. `timeout` is in seconds, for connecting and for a message each."""

    def __init__(self, url: str, topic: str, timeout: int) -> None:
        self._url = url
        self._topic = topic
        self._timeout = timeout
        self._client: Any = None
        self._producer: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._disconnect()

    def send(self, messages: Mapping[int, Message]) -> Sent:
        """Send messages in their order, and wait until each was stored or has failed."""
        try:
            self._connect()
        except (pulsar.PulsarException, ValueError) as error:
            # The text of a ValueError quotes the URL, which can hold a password.
            reason = "InvalidUrl" if isinstance(error, ValueError) else type(error).__name__
            return Sent([], self._failed(reason))
        answers: SimpleQueue[tuple[int, str]] = SimpleQueue()
        for number, message in messages.items():
            self._producer.send_async(
                message.data,
                partial(_answer, answers, number),
                properties=message.properties,
                partition_key=message.key,
                event_timestamp=message.event_time,
            )
        return self._collect(answers, len(messages))

    def _collect(self, answers: "SimpleQueue[tuple[int, str]]", expected: int) -> Sent:
        acknowledged, reasons = [], []
        for _ in range(expected):
            try:
                number, result = answers.get(timeout=self._timeout + _GRACE_SECONDS)
            except Empty:
                reasons.append("Timeout")
                break
            if result == "Ok":
                acknowledged.append(number)
            else:
                reasons.append(result)
        return Sent(acknowledged, self._failed(reasons[0]) if reasons else None)

    def _connect(self) -> None:
        if self._producer is None:
            self._client = pulsar.Client(
                self._url,
                operation_timeout_seconds=self._timeout,
                connection_timeout_ms=self._timeout * 1000,
                # The client's library writes to stdout by itself; handing its lines to Python's logging instead can
                # hang at exit. What a failure is called reaches our own log.
                logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, os.devnull),
            )
            self._producer = self._client.create_producer(
                self._topic,
                send_timeout_millis=self._timeout * 1000,
                block_if_queue_full=True,
                batching_enabled=True,
                batching_type=pulsar.BatchingType.KeyBased,  # a batch of one participant: Key_Shared readers may follow
            )

    def _failed(self, reason: str) -> PublishError | PublishRefusedError:
        self._disconnect()
        return PublishRefusedError(reason) if reason in _FINAL else PublishError(reason)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.shutdown()  # unlike `close`, it does not wait for a broker that does not answer
        self._client = self._producer = None


def _answer(answers: "SimpleQueue[tuple[int, str]]", number: int, result: Any, _message_id: Any) -> None:
    # Called on Pulsar's thread, where an exception would end the process.
    answers.put((number, result.name))

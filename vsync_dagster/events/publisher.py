"""A Pulsar producer whose failures are ours: connected when first used, and anew after each failure."""

import os
from collections.abc import Mapping
from contextlib import suppress
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
        "TopicTerminated",
    }
)
# Those that are about one message: its participant's later ones wait behind it, other participants' do not.
_OF_ONE_MESSAGE = frozenset({"MessageTooBig"})
_OK = "Ok"
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
    """What became of messages, by the number they were handed in under.

    `acknowledged` are stored, of each participant without a gap: what may have been stored behind one that was not is
    left out, to be sent again in its place. `refused` are such as the broker will never take, with Pulsar's word for
    why. `error` is what has stopped all the others.
    """

    acknowledged: list[int]
    refused: dict[int, str]
    error: PublishError | PublishRefusedError | None


class _Answers:
    """Pulsar's answers, as they come in on its own thread. `stuck` are the participants of whom one was not stored."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[int, str]] = SimpleQueue()
        self.stuck: set[str] = set()

    def take(self, number: int, participant: str, result: Any, _message_id: Any) -> None:
        """Called by Pulsar, where an exception would end the process."""
        if result.name != _OK:
            self.stuck.add(participant)
        self._queue.put((number, result.name))

    def collect(self, expected: int, timeout: float) -> dict[int, str]:
        """Return the answers by number; fewer than expected where one takes longer than the timeout in seconds."""
        results: dict[int, str] = {}
        with suppress(Empty):
            while len(results) < expected:
                number, result = self._queue.get(timeout=timeout)
                results[number] = result
        return results


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
        """Send messages in their order, and wait until each was stored or has failed.

        Behind a message that fails, none of the same participant is handed in.
        """
        try:
            self._connect()
        except (pulsar.PulsarException, ValueError) as error:
            # The text of a ValueError quotes the URL, which can hold a password.
            reason = "InvalidUrl" if isinstance(error, ValueError) else type(error).__name__
            return Sent([], {}, self._failed(reason))
        answers = _Answers()
        handed_in = 0
        for number, message in messages.items():
            if message.key in answers.stuck:
                continue
            self._producer.send_async(
                message.data,
                partial(answers.take, number, message.key),
                properties=message.properties,
                partition_key=message.key,
                event_timestamp=message.event_time,
            )
            handed_in += 1
        return self._sent(messages, answers.collect(handed_in, self._timeout + _GRACE_SECONDS))

    def _sent(self, messages: Mapping[int, Message], results: Mapping[int, str]) -> Sent:
        acknowledged, refused, reasons = [], {}, []
        stuck: set[str] = set()
        for number, message in messages.items():
            if message.key in stuck:
                continue
            result = results.get(number, "Timeout")
            if result == _OK:
                acknowledged.append(number)
                continue
            stuck.add(message.key)
            if result in _OF_ONE_MESSAGE:
                refused[number] = result
            else:
                reasons.append(result)
        return Sent(acknowledged, refused, self._failed(reasons[0]) if reasons else None)

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

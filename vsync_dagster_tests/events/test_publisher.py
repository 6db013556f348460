"""What is made of Pulsar's answers, in whichever order and on whichever thread they come."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from vsync_dagster.events.messages import Message
from vsync_dagster.events.publisher import Publisher, Sent

ANA, RUI = "00416968", "12345678"


class Producer:
    """Answers each message as it is told to, by the data; those `late` only when the last was handed in."""

    def __init__(self, answers: Mapping[bytes, str], late: bool) -> None:
        self.answers = answers
        self.late = late
        self.handed_in: list[bytes] = []
        self._kept: list[tuple[Callable[..., None], str]] = []

    def send_async(self, data: bytes, callback: Callable[..., None], **_: Any) -> None:
        self.handed_in.append(data)
        self._kept.append((callback, self.answers.get(data, "Ok")))
        if not self.late or len(self.handed_in) == 4:
            for told, name in self._kept:
                told(SimpleNamespace(name=name), None)
            self._kept = []


def send(answers: Mapping[bytes, str], monkeypatch: pytest.MonkeyPatch, *, late: bool) -> tuple[Sent, list[bytes]]:
    producer = Producer(answers, late)
    messages = {
        number: Message(f"{number}".encode(), {}, key, 0) for number, key in enumerate([ANA, ANA, RUI, ANA], start=1)
    }
    with Publisher("pulsar://nowhere", "topic", timeout=1) as publisher:
        monkeypatch.setattr(publisher, "_connect", lambda: setattr(publisher, "_producer", producer))
        return publisher.send(messages), producer.handed_in


@pytest.mark.parametrize("reason", ["MessageTooBig", "ChecksumError"])
def test_behind_a_message_that_fails_none_of_its_participant_is_handed_in(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, handed_in = send({b"2": reason}, monkeypatch, late=False)
    assert handed_in == [b"1", b"2", b"3"]
    assert sent.acknowledged == [1, 3]


def test_what_was_stored_behind_a_failure_that_came_late_counts_as_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, handed_in = send({b"2": "ChecksumError"}, monkeypatch, late=True)
    assert len(handed_in) == 4
    assert sent.acknowledged == [1, 3]
    assert sent.error is not None
    assert sent.error.reason == "ChecksumError"


def test_a_message_that_is_refused_for_what_it_is_stops_no_other_participant(monkeypatch: pytest.MonkeyPatch) -> None:
    sent, _ = send({b"1": "MessageTooBig"}, monkeypatch, late=True)
    assert sent == Sent([3], {1: "MessageTooBig"}, None)

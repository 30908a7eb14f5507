"""What the engine says of a container, read."""

from lab.runtime.containers.inspection import read_changes


def test_when_a_container_was_started_and_ended() -> None:
    never = "0001-01-01T00:00:00Z"
    assert read_changes({"StartedAt": "2026-01-01T00:00:10.5Z", "FinishedAt": never}) == [(1767225610.5, True)]
    again = {"StartedAt": "2026-01-01T00:00:20.123456789Z", "FinishedAt": "2026-01-01T00:00:15Z"}
    assert read_changes(again) == [(1767225615.0, False), (1767225620.123456, True)]
    assert read_changes({"StartedAt": never, "FinishedAt": never}) == read_changes({}) == []

"""The coordinator as a child of Locust's process. Runs inside, see test_inside.py."""

from gevent import subprocess

from lab.locust.coordinator_process import CoordinatorProcess


def test_a_command_to_a_coordinator_that_has_ended_does_nothing() -> None:
    coordinator = CoordinatorProcess.__new__(CoordinatorProcess)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    coordinator._in = process.stdin
    coordinator.command(go_ns=1)
    coordinator._in.close()
    assert process.stdout.read() == b'{"go_ns": 1}\n'
    process.stdout.close()
    process.wait()
    coordinator.command(stop=True)

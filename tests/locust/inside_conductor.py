"""The conductor as Locust's process has it."""

from gevent import subprocess

from lab.locust.conductor import Conductor


def test_an_order_to_a_conductor_that_has_ended_is_nothing() -> None:
    conductor = Conductor.__new__(Conductor)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    conductor._in = process.stdin
    conductor.order(go_ns=1)
    conductor._in.close()
    assert process.stdout.read() == b'{"go_ns": 1}\n'
    process.stdout.close()
    process.wait()
    conductor.order(stop=True)

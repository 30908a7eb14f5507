"""A worker that does as its script says, without servers: `python -m tests.load.coordinator.fake_worker SCRIPT`.

SCRIPT is a list of steps as JSON: a text is an event to be told ("connected", "sample", ...), {"wait": "go"} (or
"drained", "stop") waits for that, {"die": true} ends at once, any other object is told as it is.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from typing import Any


def main(script: list[Any]) -> None:
    heard: queue.Queue[str] = queue.Queue()
    signal.signal(signal.SIGTERM, lambda *_: heard.put("stop"))
    first = json.loads(sys.stdin.readline())
    index = first["share"]["index"]

    def listen() -> None:
        for line in sys.stdin:
            heard.put(next(iter(json.loads(line))).removesuffix("_ns"))
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    for step in script:
        if isinstance(step, dict) and "wait" in step:
            while heard.get(timeout=60) != step["wait"]:
                pass
        elif isinstance(step, dict) and "die" in step:
            os._exit(3)
        else:
            print(json.dumps({"worker": index, **_event(step, index)}), flush=True)
    sys.stdout.flush()
    os._exit(0)


def _event(step: Any, index: int) -> dict[str, Any]:
    if isinstance(step, dict):
        return step
    return {
        "connected": {"event": "connected", "users": 1},
        "sample": sample(index),
        "ended": {"event": "ended", "drained": True, "missing": []},
        "failed": {"event": "failed", "kind": "UserError", "message": "it cannot be"},
    }[step]


def sample(index: int, until: float = 9.0) -> dict[str, Any]:
    """Of the first second, in which one message was sent and came."""
    counts = {"sent": 1, "expected": 1, "received": 1, "lost": 0, "both": 0, "duplicates": 0, "out_of_order": 0}
    tally = {**counts, "bounced": {}}
    return {
        "event": "sample",
        "worker": index,
        "plan": {"workers": 2, "warmup": 0.0, "seconds": 5.0, "tick": 0.005, "expected": None},
        "from": 0.0,
        "to": until,
        "judged": min(until, 5.0),
        "cpu": 0.1,
        "steady": {"a->b": {**tally, "intended": [1000, 1], "actual": [900, 1]}},
        "warmup": {},
        "lag": [],
        "reconnects": 0,
        "totals": {"expected": 1, "delivered": 1, "bounced": 0, "requests": 0, "online": 1},
    }


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

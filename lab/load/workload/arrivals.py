"""When messages are due: open-loop arrivals, which do not wait for answers, and the closed model, which does.

    constant:1000/s                          evenly spaced; "1000/s" alone means the same
    poisson:1000/s                           memoryless, as many independent people are
    ramp:100/s..1000/s,over=30s              grows evenly, then stays
    step:100/s+100/s,each=10s                100/s for 10 s, 200/s for 10 s, and so on; to=1000/s ends it
    spike:100/s..1000/s,at=10s,for=2s        a higher rate for a while
    replay:FILE                              times in seconds, one a line, or the first column of a CSV file
    closed:think=1s                          each user waits for the delivery, thinks, writes again

A worker may run where that file does not exist: it gets the times themselves (`replay-times:…`, see `portable`).

`poisson:` goes before ramp, step and spike as well: `poisson:ramp:…`. Rates are per s, min or h.

Rules: an evenly spaced arrival is due when the expected count passes a whole number, one of Poisson when it passes the
sum of exponential gaps. Worker k of n draws the whole process from the same seed and keeps its part, so that the
workers together send exactly what one would have sent: arrival i belongs to worker i mod n where arrivals are evenly
spaced, to a random one with Poisson (a thinned Poisson process is one again). Times are never moved: a late arrival is
returned late, with the time at which it was due (no coordinated omission).

Limit: a worker draws n times what it sends, about 0.3 µs each.
"""

from __future__ import annotations

import math
import re
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, count, pairwise, takewhile
from pathlib import Path
from random import Random

from lab.declarations.units import parse_duration
from lab.errors import UserError
from lab.load.model.spec import Shard, seeded_rng
from lab.load.workload.rates import Rates, constant, ramp, spike, steps

FORMS = (
    "constant:1000/s",
    "poisson:1000/s",
    "ramp:100/s..1000/s,over=30s",
    "step:100/s+100/s,each=10s",
    "spike:100/s..1000/s,at=10s,for=2s",
    "replay:FILE",
    "closed:think=1s",
)
#: Times of a replay: they travel to each worker in one line, a few bytes each.
MOST_TIMES = 1_000_000
_TIMES = "replay-times"
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min|h)")
_PER = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Schedule:
    """Returns the times that are due, each once, in order."""

    def __init__(self, times: Iterator[float]) -> None:
        self._times = times
        self._next = next(times, math.inf)

    def due(self, elapsed: float) -> list[float]:
        """Intended times up to `elapsed`, in seconds since the start, that were not returned before."""
        found: list[float] = []
        at = self._next
        while at <= elapsed:
            found.append(at)
            at = next(self._times, math.inf)
        self._next = at
        return found

    @property
    def next(self) -> float:
        """The earliest time not returned yet, infinity if there is none: an engine may sleep until then."""
        return self._next


@dataclass(frozen=True)
class Arrivals:
    """What `parse_arrivals` understood."""

    text: str  # as it was written
    model: str  # "even", "poisson", "replay", "closed"
    rates: Rates | None = None  # even and poisson
    times: tuple[float, ...] = ()  # replay, ascending
    think: float = 0.0  # closed: seconds between a delivery and the user's next message

    @property
    def portable(self) -> str:
        """The same as a text that needs no file: times in whole µs, each from the one before, deflated and base64."""
        if self.model != "replay":
            return self.text
        whole = [round(at * 1e6) for at in self.times]
        steps = (after - before for before, after in pairwise([0, *whole]))
        packed = zlib.compress(b" ".join(b"%d" % step for step in steps))
        return f"{_TIMES}:{b64encode(packed).decode()}"

    @property
    def shown(self) -> str:
        """For reports: what was written, but of packed times how many there are."""
        return f"replay:{len(self.times)} times" if self.text.startswith(f"{_TIMES}:") else self.text

    @property
    def open(self) -> bool:
        """False for the closed model: its rate follows from the answers."""
        return self.model != "closed"

    def find_peak(self, until: float) -> float:
        """The highest rate per second asked for up to a time (replay: in any one second); 0.0 for the closed model."""
        if self.rates is not None:
            return self.rates.find_peak(until)
        counts = Counter(int(at) for at in self.times if at <= until)
        return float(max(counts.values(), default=0))

    def get_rate(self, elapsed: float) -> float:
        """Messages per second asked for at a time of the steady state; 0.0 for the closed model."""
        if self.rates is not None:
            return self.rates.get_rate(elapsed)
        return float(sum(elapsed <= at < elapsed + 1 for at in self.times))

    def count_expected(self, start: float, end: float) -> float:
        """How many messages are asked for between two times of the steady state."""
        if self.rates is not None:
            return self.rates.count_until(end) - self.rates.count_until(start)
        return float(sum(start <= at < end for at in self.times))

    def total(self, seconds: float) -> float | None:
        """How many messages a steady state of that length asks for; None for the closed model."""
        return self.count_expected(0.0, seconds) if self.open else None

    def schedule(self, seed: int, shard: Shard, warmup: float = 0.0) -> Schedule:
        """A worker's part. A ramp, step, spike or replay begins after the warm-up, which has its first rate.

        Raises ValueError for the closed model, which has no times.
        """
        if self.model == "closed":
            raise ValueError("the closed model has no schedule: ask `open` first")
        if self.rates is None:
            return Schedule(at + warmup for at in self.times[shard.index :: shard.of])
        rates = self.rates.shift(warmup)
        if self.model == "poisson":
            return Schedule(_poisson(rates, seeded_rng(seed, "gaps"), seeded_rng(seed, "owners"), shard))
        return Schedule(_even(rates, shard))


def _even(rates: Rates, shard: Shard) -> Iterator[float]:
    return takewhile(math.inf.__gt__, map(rates.invert(), count(shard.index, shard.of)))


def _poisson(rates: Rates, gaps: Random, owners: Random, shard: Shard) -> Iterator[float]:
    passed, inverse = 0.0, rates.invert()
    gap, owner, log = gaps.random, owners.random, math.log
    while True:
        passed -= log(1.0 - gap())  # an exponential gap of mean 1; random() is never 1.0
        if int(owner() * shard.of) == shard.index:
            if (at := inverse(passed)) == math.inf:
                return
            yield at


def parse_arrivals(text: str) -> Arrivals:
    """Read one of the forms above. Raises UserError with what is wrong and the forms that there are."""
    kind, colon, rest = text.strip().partition(":")
    if not colon:
        kind, rest = "constant", kind
    try:
        if kind == "poisson":
            inner, colon, options = rest.partition(":")
            rates = _rates(inner, options) if colon else constant(_rate(rest))
            return Arrivals(text, "poisson", rates)
        if kind == "replay":
            return Arrivals(text, "replay", times=_read(Path(rest)))
        if kind == _TIMES:
            return Arrivals(text, "replay", times=_unpacked(rest))
        if kind == "closed":
            return Arrivals(text, "closed", think=_options(rest, "think")["think"])
        return Arrivals(text, "even", _rates(kind, rest))
    except UserError as error:
        raise UserError(f"arrivals {text!r}: {error}; there are {', '.join(FORMS)}") from error


def _rates(kind: str, rest: str) -> Rates:
    head, _, options = rest.partition(",")
    readers: dict[str, Callable[[], Rates]] = {
        "constant": lambda: constant(_rate(rest)),
        "ramp": lambda: _ramp(*_two(head, ".."), options),
        "step": lambda: _step(*_two(head, "+"), options),
        "spike": lambda: _spike(*_two(head, ".."), **_options(options, "at", "for")),
    }
    if kind not in readers:
        raise UserError(f"there is no kind {kind!r}")
    return readers[kind]()


def _ramp(start: float, end: float, options: str) -> Rates:
    over = _options(options, "over")["over"]
    if not over or not (start or end):
        raise UserError("a ramp needs a rate and a time above 0")
    return ramp(start, end, over=over)


def _step(start: float, more: float, options: str) -> Rates:
    names, _, last = options.partition(",to=")
    each = _options(names, "each")["each"]
    if not more or each < 1:
        raise UserError("a step needs a rate above 0 and each=1s or more")
    return steps(start, more, each=each, to=_rate(last) if last else None)


def _spike(base: float, top: float, **times: float) -> Rates:
    if not times["for"] or not (base or top):
        raise UserError("a spike needs a rate and a time above 0")
    return spike(base, top, at=times["at"], length=times["for"])


def _two(text: str, between: str) -> tuple[float, float]:
    first, found, second = text.partition(between)
    if not found:
        raise UserError(f"{text!r} needs two rates with {between!r} between them")
    return _rate(first, least=0.0), _rate(second, least=0.0)


def _rate(text: str, least: float | None = None) -> float:
    """A rate in messages per second; 0 only where `least` allows it."""
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise UserError(f"{text!r} is no rate such as 1000/s, 30/min or 10/h")
    value = float(found[1]) / _PER[found[2]]
    if value <= 0 and least is None:
        raise UserError("a rate must be above 0")
    return value


def _options(text: str, *names: str) -> dict[str, float]:
    """Durations by name, all of them required."""
    given = dict(part.partition("=")[::2] for part in text.split(",") if part)
    if {*given} != {*names}:
        raise UserError(f"needs {','.join(f'{name}=…' for name in names)}, each once, and has {text!r}")
    return {name: parse_duration(value) for name, value in given.items()}


def _unpacked(text: str) -> tuple[float, ...]:
    """Times as `Arrivals.portable` writes them."""
    try:
        steps = zlib.decompress(b64decode(text, validate=True)).split()
        return tuple(at / 1e6 for at in accumulate(map(int, steps)))
    except (ValueError, zlib.error) as error:
        raise UserError(f"these are no packed times: {error}") from error


def _read(path: Path) -> tuple[float, ...]:
    """Times of a file, sorted. A first line that is no number is a heading."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {str(path)!r}: {error}") from error
    times = []
    for number, line in enumerate(lines, 1):
        first = line.partition(",")[0].strip()
        if not first:
            continue
        try:
            at = float(first)
        except ValueError:
            if number == 1:
                continue
            at = math.nan
        if not 0 <= at < math.inf:
            raise UserError(f"{path}:{number}: {first!r} is no time in seconds since the start, 0 or more")
        times.append(at)
    if not times:
        raise UserError(f"{str(path)!r} holds no times")
    if len(times) > MOST_TIMES:
        raise UserError(f"{str(path)!r} holds {len(times)} times, and at most {MOST_TIMES} are replayed: cut it")
    return tuple(sorted(times))

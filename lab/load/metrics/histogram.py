"""Delays as an HdrHistogram: every value to three significant digits, from a microsecond to an hour.

The cells are those of HdrHistogram with 2,048 sub-buckets: values below 2,048 µs have a cell each, above them a cell
spans 1/1024 of a power of two. Only cells that were hit are kept (a dict from a cell's lowest value to its count), so
that hundreds of routes use memory for what they measured only. A delay is sorted into its cell later: when a message is
received it is only appended to a list, and sorting many together takes half the time of sorting them one by one.
`encode` writes HdrHistogram's own V2 format (compressed, base64), which its tools and libraries read.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from lab.errors import UserError

#: Bits of a value that are kept: 11 (2,048 sub-buckets) give three significant digits.
BITS = 11
#: Higher values are counted as this one: an hour, in µs. A delay of an hour is a loss.
HIGHEST = 3_600_000_000
_DIGITS = 3
_MICROSECOND = 1e6

# HdrHistogram V2: cookies of the histogram and of its compressed form, and the header between them.
_COOKIE, _COMPRESSED = 0x1C849303 | 0x10, 0x1C849304 | 0x10
_HEADER = struct.Struct(">iiiiqqd")  # cookie, length, offset, digits, lowest, highest, ratio
_OUTER = struct.Struct(">ii")  # cookie, length


class Histogram:
    """Counts of delays. `fresh` are delays in whole µs that are not sorted into cells yet: callers may append to it."""

    __slots__ = ("_cells", "fresh")

    def __init__(self, pairs: Iterable[int] = ()) -> None:
        """Also from `flatten()`."""
        numbers = iter(pairs)
        self._cells = Counter(dict(zip(numbers, numbers, strict=True)))
        self.fresh: list[int] = []

    def record(self, seconds: float) -> None:
        """Count one delay."""
        self.fresh.append(int(seconds * _MICROSECOND))

    @property
    def counts(self) -> Counter[int]:
        """From the lowest value of a cell, in µs, to how many delays fell into it."""
        if self.fresh:
            self.sort()
        return self._cells

    def sort(self) -> None:
        """Sort every fresh delay into its cell. Clocks may differ slightly: below 0 counts as 0."""
        fresh, self.fresh = self.fresh, []
        if fresh and (min(fresh) < 0 or max(fresh) > HIGHEST):
            fresh = [min(max(0, value), HIGHEST) for value in fresh]
        self._cells.update(
            value >> shift << shift if (shift := value.bit_length() - BITS) > 0 else value for value in fresh
        )

    def add(self, other: Histogram) -> None:
        """Add the delays of another one."""
        self.counts.update(other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.counts == other.counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def total(self) -> int:
        """How many delays were counted."""
        return self.counts.total()

    @property
    def mean(self) -> float:
        """Seconds, from the middle of each cell; 0.0 without delays."""
        total = self.total
        middle = sum((value + (_width(value) - 1) / 2) * count for value, count in self.counts.items())
        return middle / total / _MICROSECOND if total else 0.0

    @property
    def max(self) -> float:
        """Seconds: the upper end of the highest cell; 0.0 without delays."""
        return _upper(max(self.counts)) if self.counts else 0.0

    def percentile(self, percent: float) -> float:
        """Seconds that `percent` of the delays did not exceed: a cell's upper end, as HdrHistogram has it."""
        counts = self.counts
        left = max(1, _ceil(counts.total() * percent / 100))
        for value in sorted(counts):
            left -= counts[value]
            if left <= 0:
                return _upper(value)
        return 0.0

    def flatten(self) -> list[int]:
        """[value, count, value, count, ...] by rising value, for JSON."""
        return list(chain.from_iterable(sorted(self.counts.items())))

    def encode(self) -> str:
        """HdrHistogram V2, compressed, base64; the unit is the microsecond."""
        payload = bytes(chain.from_iterable(_zigzag(number) for number in _runs(self.counts)))
        whole = _HEADER.pack(_COOKIE, len(payload), 0, _DIGITS, 1, HIGHEST, 1.0) + payload
        packed = zlib.compress(whole)
        return base64.b64encode(_OUTER.pack(_COMPRESSED, len(packed)) + packed).decode()

    @classmethod
    def decode(cls, text: str) -> Histogram:
        """The inverse of `encode`. Raises UserError if it is something else, or has other cells."""
        try:
            raw = base64.b64decode(text, validate=True)
            outer, length = _OUTER.unpack_from(raw)
            whole = zlib.decompress(raw[_OUTER.size : _OUTER.size + length])
            inner, length, offset, digits, *_ = _HEADER.unpack_from(whole)
        except (ValueError, struct.error, zlib.error) as error:
            raise UserError(f"this is no histogram: {error}") from error
        if (outer, inner, offset, digits) != (_COMPRESSED, _COOKIE, 0, _DIGITS):
            raise UserError(f"a histogram of another kind: it needs version 2 and {_DIGITS} significant digits")
        found, index = cls(), 0
        for number in _unzigzag(whole[_HEADER.size : _HEADER.size + length]):
            if number > 0:
                found.counts[_value(index)] = number
            index += max(1, -number)
        return found


def _width(value: int) -> int:
    return 1 << max(0, value.bit_length() - BITS)


def _upper(value: int) -> float:
    return (value + _width(value) - 1) / _MICROSECOND


def _ceil(number: float) -> int:
    """Round up to a whole number, after rounding errors are removed: 99.9 % of 41,000 is 40,959."""
    return math.ceil(round(number, 6))


def _index(value: int) -> int:
    """A cell's place in HdrHistogram's array of counts."""
    shift = max(0, value.bit_length() - BITS)
    return (shift << BITS - 1) + (value >> shift)


def _value(index: int) -> int:
    half = 1 << BITS - 1
    shift = max(0, (index >> BITS - 1) - 1)
    return index if index < 2 * half else (index - shift * half) << shift


def _runs(counts: dict[int, int]) -> Iterator[int]:
    """Counts in the order of the array, a run of n empty cells as -n."""
    at = 0
    for value in sorted(counts):
        index = _index(value)
        if index > at:
            yield at - index
        yield counts[value]
        at = index + 1


def _zigzag(number: int) -> Iterator[int]:
    """Bytes of a signed number: seven bits each, lowest first, the ninth byte whole (counts here never need it)."""
    left = number << 1 if number >= 0 else (-number << 1) - 1
    while left > 0x7F:
        yield left & 0x7F | 0x80
        left >>= 7
    yield left


def _unzigzag(data: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number >> 1 ^ -(number & 1)
            number = shift = 0

"""Events of every kind, with values of every type that their fields declare."""

from types import UnionType
from typing import get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from lab.history.events import FORMAT, KINDS
from lab.history.reader import LATEST
from lab.input_files import LARGEST

PLAIN = {
    float: st.floats(-LARGEST, LARGEST),
    int: st.integers(-(10**28), 10**28),
    str: st.text(),
    bool: st.booleans(),
    type(None): st.none(),
}


def values(hint):
    if get_origin(hint) is UnionType:
        return st.one_of([values(one) for one in get_args(hint)])
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        if inner[-1] is Ellipsis:
            return st.lists(values(inner[0]), max_size=3).map(tuple)
        return st.tuples(*[values(one) for one in inner])
    return PLAIN[hint]


def events_of(kind):
    hints = get_type_hints(kind)
    # A reader refuses later formats, times that no calendar has, and numbers beyond 1e30.
    known = {"format": st.integers(min_value=0, max_value=FORMAT), "at": st.floats(0, LATEST)}
    return st.builds(kind, **{name: known.get(name, values(hint)) for name, hint in hints.items() if name != "kind"})


events = st.sampled_from(sorted(KINDS)).flatmap(lambda name: events_of(KINDS[name]))

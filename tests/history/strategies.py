"""Events of every kind, with values of every type that their fields declare."""

from types import UnionType
from typing import get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from lab.history.events import FORMAT, KINDS

PLAIN = {
    float: st.floats(allow_nan=False, allow_infinity=False),
    int: st.integers(),
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
    known = {"format": st.integers(max_value=FORMAT)}  # a reader refuses later ones
    return st.builds(kind, **{name: known.get(name, values(hint)) for name, hint in hints.items() if name != "kind"})


events = st.sampled_from(sorted(KINDS)).flatmap(lambda name: events_of(KINDS[name]))

import pytest

from lab import exit_codes


@pytest.mark.parametrize(
    ("codes", "merged"),
    [((), 2), ((0,), 0), ((0, 2), 2), ((2, 3, 0), 3), ((3, 1), 1), ((0, 1, 70, 3), 70), ((0, 0), 0)],
)
def test_several_runs_end_with_the_worst(codes, merged):
    assert exit_codes.merge(codes) == merged
    assert exit_codes.merge(reversed(codes)) == merged

import pytest

from lab import exit_codes


@pytest.mark.parametrize(
    ("codes", "merged"),
    [
        ((), 2), ((0,), 0), ((0, 2), 2), ((2, 3, 0), 3), ((3, 1), 1), ((0, 1, 70, 3), 70), ((0, 0), 0),
        ((0, 64), 64), ((0, 69, 3), 69), ((69, 64), 64), ((64, 1), 1), ((70, 143), 143), ((130, 143, 0), 143),
    ],
)  # fmt: skip
def test_several_runs_end_with_the_worst(codes, merged):
    assert exit_codes.merge(codes) == merged
    assert exit_codes.merge(reversed(codes)) == merged


def test_every_code_of_a_command_has_its_place():
    """One that had none would be taken for unknown, or for that of a signal."""
    codes = [value for name, value in vars(exit_codes).items() if name.isupper() and type(value) is int]
    assert len(codes) >= 8
    for code in set(codes) - {exit_codes.SIGNAL}:
        assert exit_codes.merge((0, code)) == code
        assert exit_codes.merge((code, exit_codes.INTERNAL)) == exit_codes.INTERNAL

"""On which addresses a lab is published."""

from __future__ import annotations

import pytest

from lab.errors import UserError
from lab.network.publication import check_address


def test_only_one_address_of_this_machine_is_taken() -> None:
    assert check_address("127.0.0.2") == "127.0.0.2"
    for wrong in ("192.0.2.1", "0.0.0.0", "224.0.0.1", "::1", "localhost", ""):
        with pytest.raises(UserError, match="--publish"):
            check_address(wrong)

"""The error table by name, as 0.9 had it."""
from __future__ import absolute_import

from kiel import constants, protocol
from kiel.protocol import errors


def test_names_and_retriable():
    assert errors is protocol.errors
    assert (errors.no_error, errors.unknown, errors.offset_out_of_range) == (0, -1, 1)
    assert errors.not_coordinator == 16 and errors.rebootstrap_required == 129
    for code, name in constants.ERROR_CODES.items():
        assert getattr(errors, name) == code
    for code in 2, 3, 5, 6, 7, 14, 15, 16, 19, 20:  # those of 0.9
        assert code in errors.retriable
    assert not {0, 1, 25, 29} & errors.retriable
    assert protocol.__all__ == ["errors"]

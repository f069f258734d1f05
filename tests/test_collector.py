"""The collector held off, and on again."""
from __future__ import absolute_import

import gc

import pytest

from kiel.collector import HeldOff


def test_it_is_held_off_and_on_again_whatever_happens():
    assert gc.isenabled()
    with HeldOff():
        assert not gc.isenabled()
        with HeldOff():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError):
        with HeldOff():
            raise ValueError()
    assert gc.isenabled()


def test_who_has_it_off_keeps_it_off():
    gc.disable()
    try:
        with HeldOff():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

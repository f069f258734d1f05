# -*- coding: utf-8 -*-
"""The quick way to read JSON gives what the plain one gives, errors included."""
from __future__ import absolute_import

import json

import pytest

from kiel.clients.consuming.from_json import from_json


@pytest.mark.parametrize("value", [
    b'{"a": [1, 2.5, null, true], "b": {"c": "d"}}', b'"text"', b"12", b"null", b" {} ", b"\n[1]\n",
    u'{"\u00e9": "\u20ac"}'.encode("utf-8"), b'"\\ud83d\\ude00"', b"NaN",
])
def test_same_as_json_loads(value):
    assert repr(from_json(value)) == repr(json.loads(value))


def test_a_tombstone_has_no_value():
    assert from_json(None) is None


@pytest.mark.parametrize("value", [b"", b"{", b"{} {}", b"nope", b"\xff\xfe\xfd", b'{"a": }'])
def test_same_errors(value):
    with pytest.raises(Exception) as plain:
        json.loads(value)
    with pytest.raises(type(plain.value)) as quick:
        from_json(value)
    assert str(quick.value) == str(plain.value)

"""GSSAPI without its package; the logins themselves are in tests/integration/test_kerberos.py."""
from __future__ import absolute_import

import sys

import pytest

from kiel import sasl


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ImportError) as caught:
        sasl.Gssapi()
    assert "kiel[gssapi]" in str(caught.value) and "libkrb5-dev" in str(caught.value)

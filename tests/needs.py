"""What some tests need beside kiel: without it they are skipped by name, and fail where all has to be there."""
from __future__ import absolute_import

import importlib
import os

import pytest


def needed(module, install):
    """
    Return a module, or skip the test; with ``KIEL_STRICT=1`` fail it.

    :param install: what has to be typed to have it
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        text = "%s is not there (%s): %s" % (module, error, install)
        if os.environ.get("KIEL_STRICT", "") not in ("", "0"):
            pytest.fail(text)
        pytest.skip(text)

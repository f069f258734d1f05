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


def program(name):
    """Return the path of a program, or skip the test; with ``KIEL_STRICT=1`` fail it."""
    path = find_executable(name)
    if path is not None:
        return path
    text = "%s is not there: apt-get install %s" % (name, name)
    if os.environ.get("KIEL_STRICT", "") not in ("", "0"):
        pytest.fail(text)
    pytest.skip(text)


def find_executable(name):
    """Return the path of a program that can be run, None where there is none; Python 2 has no shutil.which."""
    for place in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(place, name)
        if os.access(path, os.X_OK):
            return path
    return None

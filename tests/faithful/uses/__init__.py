"""
What applications of 2016 did with kiel 0.9, each as a short program that asserts what 0.9.3 did.

Only what both kiels have is imported here, and nothing else of this repository: the same files run on PyPI's
``kiel==0.9.3``, see ``tools/faithful.py``.
"""
from __future__ import absolute_import

import importlib

#: name -> (number, whether it needs real brokers, the coroutine function), in their order
USES = {}

#: the modules that hold them
MODULES = ("offsets", "commits", "consuming", "producing", "by_hand", "names", "custom", "operation", "scenarios",
           "subclasses")

#: seconds that a use may take
LIMIT = 30


def use(number, real=False):
    """Enters a coroutine function of a `world.World` as a use of that number; ``real``: on real brokers."""
    def enter(function):
        name = "%s_%s" % (number, function.__name__)
        assert name not in USES, name
        USES[name] = number, real, function
        return function
    return enter


def load():
    """`USES`, filled."""
    for name in MODULES:
        importlib.import_module("%s.%s" % (__name__, name))
    return USES

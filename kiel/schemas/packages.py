"""The packages that each kind of schema needs, which are extras of kiel."""
from __future__ import absolute_import

import importlib


def needed(module, extra):
    """
    Return a module of a package that an extra brings.

    :raises ImportError: which says how to install it
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError("%s is needed for that: pip install \"kiel[%s]\" (%s)" % (
            module.split(".")[0] if extra != "protobuf" else "protobuf", extra, error))

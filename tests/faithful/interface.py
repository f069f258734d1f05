"""
The interface of the kiel that this Python has, as JSON: made of PyPI's 0.9.3 once, into ``interface.json``.

    cd /elsewhere && PYTHON-WITH-0.9.3 .../tests/faithful/interface.py > .../tests/faithful/interface.json

``{module: {name: what}}``, of what a module defines itself: a class's members, a function's arguments as ``[names,
*name, **name, defaults]``, a value's `repr`.
"""
from __future__ import absolute_import, print_function

import importlib
import inspect
import json
import pkgutil
import sys
import types

PLAIN = (int, str, tuple, type(None))


def arguments(function):
    """``[names, name of *, name of **, reprs of defaults]``."""
    found = inspect.getargspec(getattr(function, "__wrapped__", function))
    return [list(found[0]), found[1], found[2], [repr(value) for value in found[3] or ()]]


def members(cls):
    """{name: "property", arguments or repr} of what a class has, inherited or not."""
    out = {}
    for name in dir(cls):
        if name.startswith("_") and name != "__init__":
            continue
        raw = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
        value = getattr(cls, name)
        if isinstance(raw, property):
            out[name] = "property"
        elif name == "parts":
            out[name] = [[line[0], line[1].__name__] for line in value if isinstance(line, tuple)]
        elif inspect.ismethod(value) or inspect.isfunction(value):
            out[name] = arguments(value)
        elif isinstance(value, PLAIN):
            out[name] = repr(value)
    return out


def main():
    import kiel
    out = {}
    for _, name, _ in pkgutil.walk_packages(kiel.__path__, "kiel."):
        importlib.import_module(name)
        module = sys.modules[name]
        found = out[name] = {}
        for label, value in vars(module).items():
            if label.startswith("_") or label in ("log", "absolute_import") or isinstance(value, types.ModuleType):
                continue
            own = getattr(value, "__module__", name) == name
            if inspect.isclass(value) and own:
                found[label] = members(value)
            elif inspect.isfunction(value) and own:
                found[label] = arguments(value)
            elif isinstance(value, PLAIN):
                found[label] = repr(value)
    lines = []
    for name in sorted(out):
        entries = [
            " %s: %s" % (json.dumps(label), json.dumps(what, sort_keys=True))
            for label, what in sorted(out[name].items())
        ]
        lines.append("%s: {\n%s\n}" % (json.dumps(name), ",\n".join(entries)))
    print("{\n%s\n}" % ",\n".join(lines))


if __name__ == "__main__":
    main()

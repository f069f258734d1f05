"""What the syntax trees of kiel's classes tell; for `tests.test_architecture`."""
from __future__ import absolute_import

import ast
import importlib
import io
import os

from kiel.protocol.part import Part

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def modules():
    """Return {dotted name: path} of every module of kiel."""
    found = {}
    for place, _, files in os.walk(os.path.join(ROOT, "kiel")):
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(place, name)
                dotted = os.path.relpath(path, ROOT)[:-3].replace(os.sep, ".")
                found[dotted[:-len(".__init__")] if dotted.endswith(".__init__") else dotted] = path
    return found


def parse(path):
    """Return the syntax tree of a file."""
    with io.open(path, encoding="utf-8") as source:
        text = source.read().encode("utf-8")
    if text not in _trees:
        _trees[text] = ast.parse(text, path)
    return _trees[text]


_trees = {}


class ClassText(object):
    """
    What the text of one class says of its attributes.

    ``used`` are the names of ``self.name`` that are read, ``initial`` those that ``__init__`` assigns, and ``later``
    those that another method assigns: {name: line} each.
    """

    def __init__(self, module, node):
        self.module = module
        self.name = node.name
        self.used, self.initial, self.later = {}, {}, {}
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and _takes_self(method):
                self._read(method, self.initial if method.name == "__init__" else self.later)

    def _read(self, method, assigned):
        for node in _nodes(method):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
                book = assigned if isinstance(node.ctx, ast.Store) else self.used
                book.setdefault(node.attr, node.lineno)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
                if isinstance(node.target.value, ast.Name) and node.target.value.id == "self":
                    self.used.setdefault(node.target.attr, node.lineno)


def _takes_self(method):
    """Whether a function of a class is a method of its instances."""
    first = method.args.args[0] if method.args.args else None
    return getattr(first, "arg", getattr(first, "id", None)) == "self"


def _nodes(function):
    """Walk a function, but not the classes within, whose ``self`` is another."""
    waiting = [function]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.ClassDef))


def classes(found=None):
    """Return the `ClassText` of every class of kiel at the top of a module, by (module, class name)."""
    texts = {}
    for module, path in (found or modules()).items():
        for node in parse(path).body:
            if isinstance(node, ast.ClassDef):
                texts[module, node.name] = ClassText(module, node)
    return texts


def unknown(text, texts, real=None):
    """Return the names that a class uses of itself although neither it nor a base of it defines them."""
    real = real or getattr(importlib.import_module(text.module), text.name)
    known = set(dir(real))
    for base in real.__mro__:
        own = texts.get((base.__module__, base.__name__))
        if own is not None:
            known.update(own.initial, own.later)
    return sorted(set(text.used) - known)


def made_late(text, texts, real=None):
    """Return the names that a class assigns somewhere, but neither its ``__init__`` nor one of a base does."""
    real = real or getattr(importlib.import_module(text.module), text.name)
    initial = set(name for name in dir(real) if isinstance(getattr(real, name, None), property))
    if issubclass(real, Part):  # its table is its ``__init__``
        initial.update(name for name in dir(real) if not name.startswith("__"))
        initial.update(line[0] for line in real.parts)
    for base in real.__mro__:
        own = texts.get((base.__module__, base.__name__))
        if own is not None:
            initial.update(own.initial)
    return sorted(set(text.later) - initial)

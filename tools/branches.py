"""
Count the branches of kiel's functions (McCabe's number) and fail where there are too many: a step of ``make lint``.

usage: python tools/branches.py [--all]

Counted is what a reader has to tell apart: each ``if``, loop and ``except``, and also each ``and``, ``or``, conditional
expression and comprehension, which flake8's own count leaves out. Hot loops may have more than ten, where taking them
apart would cost a call for each message, but no function more than twenty. ``kiel/protocol`` is left out: its decoders
are hot loops.
"""
from __future__ import absolute_import, print_function

import argparse
import ast
import io
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: a function of more branches than this has to be read twice
MANY = 10
#: the part of all functions that may have so many, in percent
SHARE = 2.0
#: what no function may have
MOST = 20

FUNCTIONS = tuple(getattr(ast, name) for name in ("FunctionDef", "AsyncFunctionDef") if hasattr(ast, name))
#: each of these is one way more through a function
BRANCHES = (ast.If, ast.For, ast.While, ast.ExceptHandler, ast.IfExp, ast.comprehension, ast.Assert)


def functions(root=ROOT):
    """Return ``[(branches, "file:line name")]`` of all functions of kiel but those of the protocol, most first."""
    found = []
    for place, folders, names in os.walk(os.path.join(root, "kiel")):
        folders[:] = [name for name in folders if name not in ("protocol", "__pycache__")]
        for path in [os.path.join(place, name) for name in names if name.endswith(".py")]:
            with io.open(path, encoding="utf-8") as source:
                tree = ast.parse(source.read().encode("utf-8"), path)
            where = os.path.relpath(path, root)
            found.extend((branches, "%s:%d %s" % (where, line, name)) for branches, line, name in counted(tree))
    return sorted(found, reverse=True)


def counted(tree):
    """Return ``[(branches, line, name)]`` of the functions of a syntax tree; one within another counts by itself."""
    return [(1 + _branches(node), node.lineno, node.name) for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def _branches(function):
    number = 0
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        if isinstance(node, FUNCTIONS):
            continue
        if isinstance(node, BRANCHES):
            number += 1 + len(getattr(node, "ifs", ()))
        elif isinstance(node, ast.BoolOp):
            number += len(node.values) - 1
        waiting.extend(ast.iter_child_nodes(node))
    return number


def main():
    """Print the functions with many branches; return the status of the process."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split("\n")[0])
    parser.add_argument("--all", action="store_true", help="list all functions over %d, also where all is well" % MANY)
    options = parser.parse_args()
    found = functions()
    many = [entry for entry in found if entry[0] > MANY]
    share = 100.0 * len(many) / len(found)
    wrong = share > SHARE or many[:1] > [(MOST + 1,)]
    print("%d functions, %d of them (%.1f %%) over %d branches; allowed are %.1f %% and none over %d" % (
        len(found), len(many), share, MANY, SHARE, MOST))
    if wrong or options.all:
        for branches, where in many:
            print("%4d  %s" % (branches, where))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""The type stubs say what the classes are, and type checkers make of them what users expect; on the newest Python."""
from __future__ import absolute_import

import glob
import os
import subprocess
import sys

import pytest

from tests.needs import needed

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MYPY = ["--follow-imports=silent", "--python-version", "3.13"]

pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="type checkers are asked once, on the newest Python")


def stubbed():
    """Return the dotted names of the modules that have a stub."""
    paths = [os.path.join(place, name) for place, _, names in os.walk(os.path.join(ROOT, "kiel"))
             for name in names if name.endswith(".pyi")]
    names = [os.path.relpath(path, ROOT)[:-len(".pyi")].replace(os.sep, ".") for path in paths]
    # of a package stubtest takes all that is beneath, whether there is a stub or not
    return sorted(name for name in names if not name.endswith("__init__"))


def passes(module, *arguments):
    """Run a type checker on the project; return what it found, an empty text for nothing."""
    needed(module.split(".")[0], "pip install mypy basedpyright")
    process = subprocess.Popen(
        [sys.executable, "-m", module] + list(arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, MYPY_CACHE_DIR=os.path.join(ROOT, ".cache", "mypy")))
    out, _ = process.communicate()
    return "" if process.returncode == 0 else out.decode("utf-8")


def test_stubs_have_the_names_and_arguments_of_the_classes():
    modules = stubbed()
    assert len(modules) > 10
    found = passes("mypy.stubtest", "--ignore-missing-stub", "--concise", "--allowlist",
                   os.path.join(HERE, "allowlist.txt"), "--ignore-unused-allowlist", *modules)
    assert not found, found


@pytest.mark.parametrize("name", ["Producer", "SingleConsumer", "GroupedConsumer", "Admin"])
def test_no_public_method_is_missing(name):
    """stubtest is not asked for that, since it takes each name of a module for public."""
    import ast
    from kiel import clients

    there = set()
    for path in glob.glob(os.path.join(ROOT, "kiel", "clients", "*.pyi")):
        with open(path) as source:
            for node in ast.walk(ast.parse(source.read())):
                if isinstance(node, ast.ClassDef):
                    there.update(getattr(each, "name", None) or each.target.id for each in node.body
                                 if isinstance(each, (ast.FunctionDef, ast.AnnAssign)))
    inner = set("assignment committed group_coordinator progress subscription reset_start note_refusal "
                "on_fork topics configs partitions clusters users transactions groups tokens acls".split())
    missing = [each for each in dir(getattr(clients, name)) if not each.startswith("_")
               and each not in there and each not in inner]
    assert not missing


@pytest.mark.parametrize("arguments", [
    ["--strict", os.path.join("tests", "stubs", "expected.py")],
    ["--check-untyped-defs", "--ignore-missing-imports", "--disable-error-code", "var-annotated", "examples"],
], ids=["expected", "examples"])
def test_mypy(arguments):
    found = passes("mypy", *(MYPY + arguments))
    assert not found, found


@pytest.mark.parametrize("project", ["pyrightconfig.json", "examples.json"])
def test_pyright(project):
    found = passes("basedpyright", "--project", os.path.join(HERE, project), "--pythonpath", sys.executable)
    assert not found, found

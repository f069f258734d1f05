"""What is in the wheel and in the sdist, and what they say of themselves: built here, on the newest Python."""
from __future__ import absolute_import

import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

from kiel import __version__

from tests.needs import needed

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LEFT_OUT = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "_build", "*.so")

pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="built once, on the newest Python")


def build(tmpdir, what):
    """Build a distribution of a copy of the project, without the extension; return its path."""
    needed("setuptools", "pip install setuptools")
    copy, made = str(tmpdir.join("copy")), str(tmpdir.mkdir("made"))
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    code = "from setuptools import build_meta; build_meta.build_%s(%r)" % (what, made)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=copy, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=dict(os.environ, KIEL_EXTENSION="0"))
    out, _ = process.communicate()
    assert process.returncode == 0, out.decode("utf-8")
    name, = os.listdir(made)
    return os.path.join(made, name)


def sources(*endings):
    """Return the paths of kiel's own files that end so, as they are in a distribution."""
    found = set()
    for place, _, names in os.walk(os.path.join(ROOT, "kiel")):
        found.update(os.path.relpath(os.path.join(place, name), ROOT).replace(os.sep, "/")
                     for name in names if name.endswith(endings))
    return found


def test_the_wheel(tmpdir):
    path = build(tmpdir, "wheel")
    assert os.path.basename(path) == "kiel-%s-py2.py3-none-any.whl" % __version__
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        info = "kiel-%s.dist-info/" % __version__
        assert set(name.split("/")[0] for name in names) == {"kiel", info[:-1]}
        assert sources(".py", ".pyi", "py.typed") <= names
        assert not [name for name in names if name.endswith((".c", ".so"))]
        metadata = wheel.read(info + "METADATA").decode("utf-8")
        assert wheel.read(info + "entry_points.txt").decode("utf-8").split() == [
            "[console_scripts]", "kiel", "=", "kiel.command:main"]
    lines = metadata.splitlines()
    assert [line for line in lines if line.startswith("Project-URL: Source,")]
    assert [line for line in lines if line.startswith("Provides-Extra: all")]
    for version in ("2.7", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13"):
        assert "Classifier: Programming Language :: Python :: %s" % version in lines


def test_the_sdist_has_what_its_docs_and_tests_are_built_of(tmpdir):
    path = build(tmpdir, "sdist")
    with io.open(path, "rb") as source, tarfile.open(fileobj=source) as sdist:
        names = set(name.partition("/")[2] for name in sdist.getnames())
    assert sources(".py", ".pyi", "py.typed", ".c") <= names
    for name in ("docs/conf.py", "docs/index.rst", "docs/checks.py", "docs/defects.txt", "README.rst", "CHANGELOG.rst",
                 "LICENSE", "tox.ini", "Makefile", "tests/test_packaging.py", "tests/stubs/pyrightconfig.json"):
        assert name in names, name
    assert not [name for name in names if name.endswith((".pyc", ".so"))]

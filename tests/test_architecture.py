"""
The arrows between kiel's modules point one way.

Each rule is a line of `RULES`: the modules it is about, and what they may not import, at any depth of a function.
"""
from __future__ import absolute_import

import ast
import io
import os

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: whatever reaches a socket, a loop or a thread
IO = ("tornado", "socket", "ssl", "select", "selectors", "asyncio", "threading", "kazoo", "subprocess",
      "concurrent", "multiprocessing")
SHELL = ("kiel.connection", "kiel.handshake", "kiel.broker", "kiel.settings", "kiel.cluster", "kiel.clients",
         "kiel.zookeeper", "kiel.groups", "kiel.allocation", "kiel.events")

RULES = (
    # who                     may not import
    ("kiel.constants",        IO + SHELL + ("kiel.protocol", "kiel.exc")),
    ("kiel.exc",              IO + SHELL + ("kiel.protocol",)),
    ("kiel.retry",            IO + SHELL + ("kiel.protocol",)),
    ("kiel.iterables",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.protocol",         IO + SHELL + ("kiel.sasl",)),
    ("kiel.compression",      IO + SHELL + ("kiel.sasl", "kiel.protocol")),
    ("kiel.sasl",             IO + SHELL + ("kiel.compression",)),
    ("kiel.events",           SHELL[:-1] + ("kiel.protocol",)),
    ("kiel.connection",       ("kiel.cluster", "kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.settings",         ("kiel.protocol", "kiel.connection")),
    ("kiel.handshake",        ("kiel.connection", "kiel.broker", "kiel.cluster", "kiel.clients")),
    ("kiel.broker",           ("kiel.cluster", "kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.cluster",          ("kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.allocation",       ("kiel.clients", "kiel.zookeeper", "kiel.groups")),
    ("kiel.zookeeper",        ("kiel.clients", "kiel.connection", "kiel.cluster", "kiel.protocol", "kiel.groups")),
    # clients never touch bytes or sockets
    ("kiel.clients",          ("struct", "socket", "ssl", "select", "zlib", "tornado.iostream", "tornado.tcpclient",
                               "tornado.netutil", "kiel.compression", "kiel.protocol.primitives",
                               "kiel.protocol.part")),
    # what serves the tests is never needed by an application
    ("kiel",                  ("kiel.testing", "pytest", "mock", "unittest")),
)
#: modules to which a rule about their package does not apply
EXCEPT = {"kiel": ("kiel.testing",)}
#: single imports that stand, with the reason
ALLOWED = {
    ("kiel.clients.client", "tornado.iostream"): "a connection of the caller's own may raise 0.9's StreamClosedError",
}


def within(module, names):
    """Whether a module is one of the names, or beneath one."""
    return any(module == name or module.startswith(name + ".") for name in names)


def modules():
    """{dotted name: path} of every module of kiel."""
    found = {}
    for place, _, files in os.walk(os.path.join(ROOT, "kiel")):
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(place, name)
                dotted = os.path.relpath(path, ROOT)[:-3].replace(os.sep, ".")
                found[dotted[:-len(".__init__")] if dotted.endswith(".__init__") else dotted] = path
    return found


def imports(path, package=""):
    """The dotted names that a module's text imports; `from a import b` counts as `a` and `a.b`."""
    with io.open(path, encoding="utf-8") as source:
        tree = ast.parse(source.read().encode("utf-8"), path)
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                base = ".".join(above[:len(above) - node.level + 1] + ([base] if base else []))
            names.add(base)
            names.update("%s.%s" % (base, alias.name) for alias in node.names)
    if "socket" in names:
        used = set(
            node.attr for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "socket"
        )
        if used == {"gethostname"}:
            # the name of this machine is no I/O
            names.discard("socket")
    return names


def broken(module, names):
    """The rules that a module breaks by its imports, as "module imports name"."""
    found = []
    for who, forbidden in RULES:
        if within(module, (who,)) and not within(module, EXCEPT.get(who, ())):
            found.extend(
                "%s imports %s" % (module, name) for name in sorted(names)
                if within(name, forbidden) and (module, name) not in ALLOWED
            )
    return found


def test_arrows_point_one_way():
    found = modules()
    assert len(found) > 30
    wrong = []
    for module, path in sorted(found.items()):
        package = module if path.endswith("__init__.py") else module.rpartition(".")[0]
        wrong.extend(broken(module, imports(path, package)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module,name", [
    ("kiel.protocol.fetch", "socket"),
    ("kiel.protocol.wire", "tornado.gen"),
    ("kiel.compression.lz4", "kiel.connection"),
    ("kiel.sasl", "ssl"),
    ("kiel.connection", "kiel.clients.single"),
    ("kiel.cluster", "kiel.clients"),
    ("kiel.clients.producer", "struct"),
    ("kiel.clients.producer", "kiel.testing"),
])
def test_a_rule_can_be_broken(module, name):
    assert broken(module, {name})


@pytest.mark.parametrize("module,name", [
    ("kiel.testing.kafka", "subprocess"),
    ("kiel.testing.fixtures", "pytest"),
    ("kiel.clients.single", "kiel.clients.consumer"),
    ("kiel.protocol.fetch", "structural"),
])
def test_what_is_allowed(module, name):
    assert not broken(module, {name})


def test_imports_are_found_in_every_form(tmpdir):
    path = tmpdir.join("m.py")
    path.write("import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n    import i\n")
    assert imports(str(path), "p.q") == {"a.b", "c", "c.d", "p.q", "p.q.e", "p.f", "p.f.g", "i"}


def test_a_socket_is_more_than_the_name_of_the_machine(tmpdir):
    path = tmpdir.join("m.py")
    path.write("import socket\nsocket.gethostname()\n")
    assert imports(str(path)) == set()
    path.write("import socket\nsocket.gethostname()\nsocket.socket()\n")
    assert imports(str(path)) == {"socket"}

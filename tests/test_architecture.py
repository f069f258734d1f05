"""
The arrows between kiel's modules point one way, and its classes are whole.

Each rule about imports is a line of `RULES`: the modules it is about, and what they may not import, at any depth of a
function. The rules about classes are those of `docs/code/design.rst` that a syntax tree shows.
"""
from __future__ import absolute_import

import ast
import os
import pkgutil
import re
import sys

import pytest

from tests import syntax
from tests.syntax import modules

sys.path.insert(0, os.path.join(syntax.ROOT, "tools"))
import branches  # noqa: E402
sys.path.pop(0)

#: whatever reaches a socket, a loop or a thread
IO = ("tornado", "socket", "ssl", "select", "selectors", "asyncio", "threading", "kazoo", "subprocess",
      "concurrent", "multiprocessing")
SHELL = ("kiel.connection", "kiel.opener", "kiel.handshake", "kiel.dialling", "kiel.deadlines", "kiel.throttle",
         "kiel.foreign_errors", "kiel.broker", "kiel.settings", "kiel.cluster", "kiel.clients",
         "kiel.zookeeper", "kiel.groups", "kiel.allocation", "kiel.events")
#: the clients that an application makes
FACES = ("kiel.clients.producer", "kiel.clients.consumer", "kiel.clients.single", "kiel.clients.grouped",
         "kiel.clients.admin")

RULES = (
    # who                     may not import
    ("kiel.constants",        IO + SHELL + ("kiel.protocol", "kiel.exc")),
    ("kiel.exc",              IO + SHELL + ("kiel.protocol",)),
    ("kiel.retry",            IO + SHELL + ("kiel.protocol",)),
    ("kiel.arguments",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.iterables",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.hooks",            IO + SHELL + ("kiel.protocol",)),
    ("kiel.fields",           IO + SHELL + ("kiel.protocol",)),
    ("kiel.observer",         IO + SHELL + ("kiel.protocol",)),
    # wraps what producers do, from outside
    ("kiel.tracing",          FACES + ("kiel.connection", "kiel.cluster", "kiel.groups", "kiel.zookeeper",
                                       "kiel.protocol", "socket", "ssl", "threading")),
    # the adapters to Prometheus and OpenTelemetry are at the edge; the numbers are plain
    ("kiel.metrics",          SHELL + ("kiel.protocol", "socket", "ssl", "threading")),
    # a client has one, which knows it by what all clients have
    ("kiel.telemetry",        FACES + ("kiel.connection", "kiel.cluster", "kiel.groups", "kiel.zookeeper",
                                       "kiel.clients", "socket", "ssl", "threading")),
    ("kiel.telemetry.names",  IO + SHELL + ("kiel.protocol",)),
    ("kiel.telemetry.otlp",   IO + SHELL + ("kiel.protocol",)),
    ("kiel.callbacks",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.protocol",         IO + SHELL + ("kiel.sasl",)),
    ("kiel.compression",      IO + SHELL + ("kiel.sasl", "kiel.protocol")),
    ("kiel.sasl",             IO + SHELL + ("kiel.compression",)),
    ("kiel.events",           SHELL[:-1] + ("kiel.protocol",)),
    ("kiel.connection",       ("kiel.cluster", "kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.connection_states", IO + SHELL + ("kiel.protocol",)),
    ("kiel.dialling",         ("kiel.protocol",) + SHELL[:2] + SHELL[3:-1]),
    ("kiel.foreign_errors",   ("kiel.protocol",) + SHELL),
    ("kiel.addresses",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.resting",          IO + SHELL + ("kiel.protocol",)),
    ("kiel.dropped",          IO + SHELL[:-1] + ("kiel.protocol",)),
    ("kiel.outage",           IO + SHELL + ("kiel.protocol",)),
    ("kiel.periodic_refresh", SHELL[:-1] + ("kiel.protocol",)),
    ("kiel.identity",         SHELL),
    ("kiel.metadata_source",  ("kiel.cluster", "kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.deadlines",        IO + ("kiel.protocol",) + SHELL),
    ("kiel.throttle",         ("kiel.protocol",) + SHELL),
    ("kiel.settings",         ("kiel.protocol", "kiel.connection")),
    ("kiel.security",         ("kiel.connection", "kiel.broker", "kiel.cluster", "kiel.clients", "kiel.groups",
                               "kiel.zookeeper")),
    ("kiel.oidc",             ("kiel.connection", "kiel.broker", "kiel.cluster", "kiel.clients")),
    ("kiel.opener",           ("kiel.connection", "kiel.broker", "kiel.cluster", "kiel.clients")),
    ("kiel.handshake",        ("kiel.connection", "kiel.opener", "kiel.broker", "kiel.cluster", "kiel.clients")),
    ("kiel.broker",           ("kiel.cluster", "kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.cluster",          ("kiel.clients", "kiel.zookeeper", "kiel.groups", "kiel.allocation")),
    ("kiel.allocation",       ("kiel.clients", "kiel.zookeeper", "kiel.groups")),
    ("kiel.topics",           IO + SHELL),
    ("kiel.partitioners",     IO + SHELL + ("kiel.protocol",)),
    ("kiel.collector",        IO + SHELL + ("kiel.protocol",)),
    ("kiel.fairness",         SHELL + ("kiel.protocol",)),
    ("kiel.speedups",         IO + SHELL + ("kiel.protocol",)),
    ("kiel.stream",           SHELL[:-1]),
    # groups know the coordinator they are handed, or a connection of their own, and neither clients nor the cluster
    ("kiel.groups",           ("kiel.clients", "kiel.cluster", "kiel.broker", "struct", "socket", "ssl")),
    ("kiel.groups.assignors", tuple(set(IO + SHELL) - {"kiel.groups", "kiel.allocation"})),
    ("kiel.groups.liveness",  ("kiel.groups.classic", "kiel.groups.next_gen", "kiel.groups.assignors",
                               "kiel.zookeeper")),
    ("kiel.groups.classic",   ("kiel.groups.next_gen", "kiel.zookeeper", "kiel.connection")),
    ("kiel.groups.next_gen",  ("kiel.groups.classic", "kiel.zookeeper", "kiel.connection")),
    ("kiel.zookeeper",        ("kiel.clients", "kiel.connection", "kiel.cluster", "kiel.protocol", "kiel.groups")),
    # clients never touch bytes or sockets
    ("kiel.clients",          ("struct", "socket", "ssl", "select", "zlib", "tornado.iostream", "tornado.tcpclient",
                               "tornado.netutil", "kiel.compression", "kiel.protocol.primitives",
                               "kiel.protocol.part")),
    # what a client is made of does not know the client, nor the parts of another kind of client
    ("kiel.clients.client",   FACES),
    ("kiel.clients.rounds",   FACES),
    ("kiel.clients.finding",  FACES),
    ("kiel.clients.block",    FACES),
    ("kiel.clients.producing", FACES + ("kiel.clients.consuming", "kiel.groups", "kiel.zookeeper")),
    ("kiel.clients.consuming", FACES + ("kiel.clients.producing", "kiel.clients.grouping", "kiel.groups",
                                        "kiel.zookeeper")),
    ("kiel.clients.grouping",  FACES + ("kiel.clients.producing",)),
    ("kiel.clients.administering", FACES + ("kiel.clients.producing", "kiel.groups", "kiel.zookeeper")),
    # what is made of clients: no client knows it
    ("kiel.worker",           ("socket", "ssl", "select", "threading", "kiel.connection", "kiel.broker",
                               "kiel.protocol", "kiel.zookeeper", "kiel.groups")),
    ("kiel.clients",          ("kiel.worker", "kiel.service", "kiel.schemas")),
    # serializers and deserializers are handed to clients, which do not know them; a path in a Protobuf file has the
    # varints of a record batch
    ("kiel.schemas",          FACES + ("socket", "ssl", "select", "threading", "kiel.connection", "kiel.broker",
                                       "kiel.cluster", "kiel.zookeeper", "kiel.groups", "kiel.worker",
                                       "kiel.service")),
    ("kiel.service",          ("socket", "ssl", "select", "threading") + SHELL[:-1]),
    ("kiel.worker",           ("kiel.service",)),
    # the command is the last to know everybody
    ("kiel.commands",         ("kiel.command", "kiel.__main__")),
    ("kiel",                  ("kiel.command", "kiel.commands", "kiel.__main__")),
    # what serves the tests is never needed by an application
    ("kiel",                  ("kiel.testing", "pytest", "mock", "unittest")),
)
#: modules to which a rule about their package does not apply
EXCEPT = {"kiel": ("kiel.testing", "kiel.__main__", "kiel.command", "kiel.commands")}
#: modules without a rule of their own, with the reason
FREE = {
    "kiel": "the package itself imports nothing",
    "kiel.__main__": "starts the command",
    "kiel.command": "an application of kiel",
    "kiel.testing": "may use all of kiel; nothing of kiel may use it",
}
#: single imports that stand, with the reason
ALLOWED = {
    ("kiel.sasl.credentials", "tornado"): "waits for the coroutines that are asked for credentials",
    ("kiel.sasl.credentials", "tornado.gen"): "waits for the coroutines that are asked for credentials",
    ("kiel.clients.rounds", "tornado.iostream"): "a connection of the caller's own may raise 0.9's StreamClosedError",
}


def within(module, names):
    """Whether a module is one of the names, or beneath one."""
    return any(module == name or module.startswith(name + ".") for name in names)


def imports(path, package=""):
    """The dotted names that a module's text imports; `from a import b` counts as `a` and `a.b`."""
    tree = syntax.parse(path)
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


def needed(module, seen):
    """Return which of the tests' own packages a module of theirs imports, itself or by what it imports."""
    path = os.path.join(syntax.ROOT, *module.split("."))
    if os.path.isdir(path):
        return needed(module + ".__main__", seen) | needed(module + ".__init__", seen)
    if module in seen or not os.path.exists(path + ".py"):
        return set()
    seen.add(module)
    found = imports(path + ".py", module.rpartition(".")[0])
    names = {name.partition(".")[0].lstrip("_") for name in found} & {"pytest", "mock"}
    if module == "tests.integration.peer":  # in functions that only tests call
        names.clear()
    return names.union(*(needed(name, seen) for name in found if within(name, ("tests", "benchmarks"))))


@pytest.mark.skipif(sys.version_info < (3,), reason="reads benchmarks of Python 3's syntax")
def test_what_make_runs_has_what_it_needs():
    """What imports the packages of tests runs in an environment that has them."""
    with open(os.path.join(syntax.ROOT, "Makefile")) as source:
        text = source.read()
    rules = re.findall(r"^([\w-]+): (\S+)\n((?:\t.*\n)+)", text, re.MULTILINE)
    tools, = re.findall(r"pip install .*flake8(.*)", text)
    run = [(target, before, module) for target, before, recipe in rules
           for module in re.findall(r"-m ((?:tests|benchmarks)[.\w]*)", recipe)]
    assert len(run) > 6
    for target, before, module in run:
        missing = needed(module, set()) - set(tools.split() if before == "$(VENV)/.tools" else ())
        assert not missing, "make %s lacks %s" % (target, ", ".join(missing))


def test_every_package_and_module_has_a_rule():
    ruled = [who for who, _ in RULES if who != "kiel"]
    free = [module for module in modules() if not within(module, ruled) and module not in FREE
            and not within(module, ("kiel.testing",))]
    assert not free, "write a rule for " + ", ".join(sorted(free))


# -- classes --

#: Classes that use or assign what they do not define: a list that only shrinks, see `test_classes_are_whole`.
NOT_WHOLE = set()


#: modules that stand on a package which not every Python has -> the package, and since which Python it has to be there
ON_EXTRAS = {
    "kiel.metrics.opentelemetry": ("opentelemetry", (3, 9)),
    "kiel.tracing": ("opentelemetry", (3, 9)),
    "kiel.tracing.processing": ("opentelemetry", (3, 9)),
    "kiel.tracing.producing": ("opentelemetry", (3, 9)),
    "kiel.tracing.propagation": ("opentelemetry", (3, 9)),
    "kiel.tracing.spans": ("opentelemetry", (3, 9)),
}


def without_package(module):
    """Return whether a module can't be imported here, and need not be."""
    package, since = ON_EXTRAS.get(module, (None, None))
    return package is not None and sys.version_info < since and pkgutil.find_loader(package) is None


def wholeness():
    """Return {class name: what it uses that nobody defines, or makes after its ``__init__``}."""
    texts = syntax.classes()
    assert len(texts) > 200
    found = {}
    for (module, name), text in sorted(texts.items()):
        if without_package(module):
            continue
        complaints = ["uses self.%s" % word for word in syntax.unknown(text, texts)]
        complaints += ["makes self.%s late" % word for word in syntax.made_late(text, texts)]
        if complaints:
            found[name] = "%s.%s: %s" % (module, name, ", ".join(complaints))
    return found


def test_classes_are_whole():
    """
    A class uses no ``self.x`` that neither it nor a base of it defines, and assigns all in its own ``__init__``.

    (Or in that of a base; the fields of a `kiel.protocol.part.Part` are those of its table.)
    """
    found = wholeness()
    assert not set(found) - NOT_WHOLE, "\n".join(found[name] for name in sorted(set(found) - NOT_WHOLE))
    clean = NOT_WHOLE - set(found)
    assert not clean, "whole by now, so take them out of NOT_WHOLE: " + ", ".join(sorted(clean))


class Base(object):
    """Something to inherit from."""

    kind = "base"

    def __init__(self):
        self.given = 1
        self.counted = 0

    @property
    def settable(self):
        return self.given

    @settable.setter
    def settable(self, value):
        self.given = value


class Whole(Base):
    """Nothing to complain of."""

    def __init__(self):
        super(Whole, self).__init__()
        self.own, self.other = 1, 2

    def work(self):
        self.own = self.given + len(self.kind) + self.other
        self.settable = 4
        self.counted += 1

        class Other(object):
            def look(self):
                return self.elsewhere

        return Other, [self.work for _ in range(3)]


class Slice(Base):
    """Each of its methods is wrong in one way."""

    def reads(self):
        return lambda: self.nowhere

    def makes(self):
        self.late = 1
        for self.each in range(3):
            pass

    def counts(self):
        self.total += 1

    def calls(self):
        self.missing()

    def takes_away(self):
        del self.gone


def test_what_is_wrong_with_a_class_is_found():
    body = syntax.parse(__file__.replace(".pyc", ".py")).body
    texts = dict(
        ((__name__, node.name), syntax.ClassText(__name__, node)) for node in body if isinstance(node, ast.ClassDef)
    )
    whole, part = texts[__name__, "Whole"], texts[__name__, "Slice"]
    assert syntax.unknown(whole, texts, Whole) == syntax.made_late(whole, texts, Whole) == []
    assert syntax.unknown(part, texts, Slice) == ["gone", "missing", "nowhere"]
    assert syntax.made_late(part, texts, Slice) == ["each", "late", "total"]


def test_branches_are_counted_as_a_reader_meets_them():
    text = """
def plain(): pass
def all_of_them(a):
    if a and a or a: pass
    elif a: pass
    for i in [j for j in a if j]: pass
    while a if a else a: pass
    try: pass
    except E: pass
    def inner():
        if a: pass
"""
    counts = dict((name, number) for number, _, name in branches.counted(ast.parse(text)))
    assert counts == {"plain": 1, "all_of_them": 11, "inner": 2}

"""The documentation is whole, and what it shows compiles."""
from __future__ import absolute_import

import ast
import os
import re
import sys

import pytest
import six

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "docs"))

import checks  # noqa: E402

PAGES = [os.path.join(checks.ROOT, name) for name in ("README.rst", "CHANGELOG.rst")] + checks.files("docs", ".rst")
BLOCKS = [
    (os.path.relpath(page, checks.ROOT), line, text) for page in PAGES for line, text in checks.code_blocks(page)
]


def test_every_public_name_has_a_docstring():
    assert not checks.all_undocumented()


def test_every_module_has_a_page():
    assert not checks.modules_without_page()


def test_every_defect_has_a_test():
    assert not checks.defects_without_test()


def test_the_list_of_defects_is_whole():
    wanted = ["D%d" % number for span in ((1, 35), (40, 67), (70, 79)) for number in range(span[0], span[1] + 1)]
    assert [number for number, _ in checks.defects()] == wanted


def compiles(text):
    """Compiles a block as a module or, when it awaits or yields by itself, as the body of a function."""
    try:
        return compile(text, "block", "exec", dont_inherit=True)
    except SyntaxError:
        head = "async def block():\n" if re.search(r"\b(await|async)\b", text) else "def block():\n"
        body = "".join("    " + line if line.strip() else line for line in text.splitlines(True))
        return compile(head + body, "block", "exec", dont_inherit=True)


def test_there_are_blocks_to_look_at():
    assert len(BLOCKS) > 20
    assert any(page == "README.rst" for page, _, _ in BLOCKS)


#: public methods that are not for applications: what subclasses of kiel 0.9 override, and what parts of a client call
NOT_FOR_APPLICATIONS = {
    "attempt", "deserialize_messages", "determine_coordinator", "determine_offsets", "handed_out", "log_error",
    "lose_coordinator", "note_committed", "note_refusal", "on_fork", "reset_start", "send", "signature",
    "wind_down",
}


@pytest.mark.parametrize("name", ["Producer", "SingleConsumer", "GroupedConsumer"])
def test_the_page_api_has_every_method_of_a_client(name):
    from kiel import clients
    text = checks.read(os.path.join(checks.DOCS, "api.rst"))
    section = text.split(".. autoclass:: kiel.clients.%s\n" % name)[1].split(".. autoclass::")[0]
    shown = re.findall(r"auto(?:method|attribute):: (\w+)", section)
    there = {method for method in dir(getattr(clients, name))
             if not method.startswith(("_", "handle_")) and callable(getattr(getattr(clients, name), method))}
    assert there - NOT_FOR_APPLICATIONS - set(shown) == set()
    assert len(shown) == len(set(shown))
    assert not NOT_FOR_APPLICATIONS & set(shown)


def test_names_and_defaults_beside_other_clients_are_those_of_kiel():
    """The first column of the tables in coming_from.rst: a name, or a name and its default."""
    if sys.version_info < (3,):
        pytest.skip("signatures are asked on Python 3")
    import inspect
    from kiel import clients
    text = checks.read(os.path.join(checks.DOCS, "coming_from.rst"))
    text = text.split(".. coming from: begin")[1].split(".. coming from: end")[0]
    sections = re.split(r"^(\w[\w ]+)\n~+$", text, flags=re.M)
    clients_of = {"For all clients": clients.Producer, "Producer": clients.Producer,
                  "Consumers": clients.GroupedConsumer}
    rows = [(section, name, default) for section, table in zip(sections[1::2], sections[2::2])
            for name, default in re.findall(r"^   \* - ``(\w+)(?:=([^`]+))?``", table, re.M)]
    assert len(rows) > 30
    for section, name, default in rows:
        defaults = {}
        for cls in reversed(clients_of[section].__mro__):
            defaults.update(inspect.signature(cls.__init__).parameters)
        # start= is of a call
        assert name in defaults or name in ("start", "key"), name
        if default and "(" not in default and name in defaults:
            assert defaults[name].default == ast.literal_eval(default), name


def texts_of_kiel():
    """Every text in kiel's modules that has more than a word: among them those that are logged."""
    nodes = (node for path in checks.files("kiel", ".py")
             for node in ast.walk(ast.parse(checks.read(path).encode("utf-8"))))
    texts = (node.value if type(node).__name__ == "Constant" else node.s for node in nodes
             if type(node).__name__ in ("Constant", "Str"))
    return {text for text in texts if isinstance(text, six.string_types) and " " in text and len(text) < 300}


def made_of(line, text):
    """Whether a line is a text with something in the place of each %s, and what `kiel.outage` adds behind it."""
    pieces = re.split(r"%[-.0-9]*[sdrgf]", text)
    at = 0
    for number, piece in enumerate(pieces):
        found = line.find(piece, at)
        if found < 0 or (number == 0 and found):
            return False
        at = found + len(piece)
    return not pieces[-1] or re.match(r"(, after [0-9.]+ s)?( \(\d+ lines held back\))?$", line[at:])


def test_lines_of_the_log_in_the_docs_are_kiels():
    texts = texts_of_kiel()
    page = checks.read(os.path.join(checks.DOCS, "logging.rst"))
    lines = re.findall(r"^    (INFO|WARNING|ERROR) (kiel[\w.]*) (.+)$", page, re.M)
    assert len(lines) > 12
    for _, logger, text in lines:
        assert logger in checks.public_modules(), logger
        assert any(made_of(text, known) for known in texts), text
    table = page.split("What to look for")[1].split("what to do")[1]
    shown = re.findall(r"^(\S.+?)(?:  |$)", table, re.M)
    assert len(shown) > 4
    for line in shown:
        for piece in re.split(r"\s*\.\.\.\s*", line.strip("=")):
            assert any(piece in text for text in texts), piece


@pytest.mark.parametrize("page,line,text", BLOCKS, ids=["%s:%d" % block[:2] for block in BLOCKS])
def test_block_compiles(page, line, text):
    if sys.version_info < (3,) and re.search(r"\b(async|await)\b", text):
        pytest.skip("native coroutines need Python 3")
    compiles(text)


@pytest.mark.parametrize("page,line,text", BLOCKS, ids=["%s:%d" % block[:2] for block in BLOCKS])
def test_block_names_what_there_is(page, line, text):
    """Every `module.Name` of kiel in a block exists, and the keywords of clients' constructors and methods are real."""
    if sys.version_info < (3,):
        pytest.skip("signatures are asked on Python 3")
    import inspect
    import kiel.clients
    import kiel.constants
    import kiel.exc
    import kiel.testing
    known = {"clients": kiel.clients, "constants": kiel.constants, "exc": kiel.exc, "testing": kiel.testing}
    head = "async def block():\n"
    tree = ast.parse(head + "".join("    " + row if row.strip() else row for row in text.splitlines(True)))
    methods = {}
    for cls in (kiel.clients.Producer, kiel.clients.SingleConsumer, kiel.clients.GroupedConsumer):
        for name, member in inspect.getmembers(cls, callable):
            methods.setdefault(name, []).append(member)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            assert hasattr(known[node.value.id], node.attr), "%s.%s" % (node.value.id, node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            words = {keyword.arg for keyword in node.keywords if keyword.arg}
            base = node.func.value
            if isinstance(base, ast.Name) and base.id == "clients":
                # settings that clients share are passed on to the classes beneath
                accepted = set()
                for cls in inspect.getmro(getattr(kiel.clients, node.func.attr)):
                    if cls.__module__.startswith("kiel."):
                        accepted |= set(inspect.signature(cls.__init__).parameters)
                assert words <= accepted, words - accepted
            elif isinstance(base, ast.Name) and base.id in ("producer", "consumer"):
                assert node.func.attr in methods, node.func.attr
                taken = [set(inspect.signature(method).parameters) for method in methods[node.func.attr]]
                assert any(words <= names for names in taken), words


# --- the checks themselves ----------------------------------------------------------------------------------------

def test_an_undocumented_name_is_found():
    text = '"""Doc."""\nclass A(object):\n    """Doc."""\n    def b(self):\n        pass\n'
    text += "    def _c(self):\n        pass\n"
    assert checks.undocumented(text, "m") == ["m.A.b"]


def test_an_undocumented_module_and_function_are_found():
    assert checks.undocumented("def f():\n    pass\n", "m") == ["m", "m.f"]


def test_names_within_a_version_switch_are_seen():
    text = '"""Doc."""\nimport six\nif six.PY2:\n    def f():\n        pass\nelse:\n    def g():\n        pass\n'
    assert checks.undocumented(text, "m") == ["m.f", "m.g"]


def test_the_name_of_a_test_tells_its_defect():
    assert checks.TEST.match("    def test_d16_cut(self):").group(2) == "16"
    assert checks.TEST.match("def test_d10b_strange_id():").group(2) == "10"
    assert not checks.TEST.match("def test_decode_16():")


def test_blocks_of_a_page_are_found(tmpdir):
    page = tmpdir.join("p.rst")
    page.write("A.\n\n.. code-block:: python\n   :emphasize-lines: 1\n\n   a = 1\n\n   b = 2\n\nText.\n")
    assert checks.code_blocks(str(page)) == [(6, "a = 1\n\nb = 2\n")]


def test_a_block_that_is_wrong_does_not_compile():
    with pytest.raises(SyntaxError):
        compiles("yield from from\n")
    compiles("x = yield consumer.consume('topic')\n")

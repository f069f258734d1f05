"""
What the documentation has to cover: every public name, every module, every defect of 0.9.

The documentation's build (``conf.py``) and the tests (``tests/test_docs.py``) ask the same functions. Nothing is
imported: texts are parsed, so this runs on every Python that kiel supports.
"""
from __future__ import absolute_import

import ast
import io
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCS = os.path.join(ROOT, "docs")

#: the parts of a docs/defects.txt line
DEFECT = re.compile(r"^(D\d+)\s+(.+)$")
#: `test_d16_a_cut_off_message...` is a test of D16
TEST = re.compile(r"^\s*(?:async )?def (test_[dD](\d+)[a-z]?_\w+)\(")


def read(path):
    """A file's text."""
    with io.open(path, encoding="utf-8") as source:
        return source.read()


def files(top, ending):
    """Paths below a directory of the project that end so, sorted; built and hidden ones are left out."""
    found = []
    for place, directories, names in os.walk(os.path.join(ROOT, top)):
        directories[:] = [name for name in directories if not name.startswith((".", "_build", "__pycache__"))]
        found.extend(os.path.join(place, name) for name in names if name.endswith(ending))
    return sorted(found)


def dotted(path):
    """The name of the module in a file of kiel."""
    name = os.path.relpath(path, ROOT)[:-len(".py")].replace(os.sep, ".")
    return name[:-len(".__init__")] if name.endswith(".__init__") else name


def is_private(name):
    """Whether a name, or a part of a dotted one, is not for users."""
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def public_modules():
    """{name: path} of every public module of kiel; a `__main__` is a command, not a module to import."""
    found = ((dotted(path), path) for path in files("kiel", ".py"))
    return {name: path for name, path in found if not is_private(name) and not name.endswith(".__main__")}


def undocumented(text, module):
    """Public names of a module's text that have no docstring, as dotted names."""
    missing = []

    def visit(node, name, is_module=False):
        if not ast.get_docstring(node):
            missing.append(name)
        if isinstance(node, (ast.Module, ast.ClassDef)):
            for child in node.body:
                look(child, name)

    def look(child, name):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            # what a special method means, Python's own documentation says
            if child.name.startswith("_"):
                return
            if any(isinstance(mark, ast.Attribute) and mark.attr in ("setter", "deleter")
                   for mark in child.decorator_list):
                return
            visit(child, "%s.%s" % (name, child.name))
        elif isinstance(child, (ast.If, ast.Try if hasattr(ast, "Try") else ast.TryExcept)):
            # both branches of a version switch
            for inner in child.body + child.orelse:
                look(inner, name)

    visit(ast.parse(text.encode("utf-8")), module)
    return missing


def all_undocumented():
    """Every public name of kiel without a docstring."""
    missing = []
    for module, path in sorted(public_modules().items()):
        text = read(path)
        if path.endswith("__init__.py") and not text.strip():
            continue
        missing.extend(undocumented(text, module))
    return missing


def documented_modules():
    """Names of the modules that some page shows by `automodule`."""
    found = set()
    for path in files("docs", ".rst"):
        found.update(re.findall(r"^\s*\.\. automodule:: (\S+)", read(path), re.M))
    return found


def modules_without_page():
    """Public modules that no page shows, and shown ones that are not there; both as text."""
    shown, there = documented_modules(), {
        module for module, path in public_modules().items()
        if read(path).strip() or not path.endswith("__init__.py")
    }
    return (["%s has no page" % module for module in sorted(there - shown)]
            + ["%s has a page and does not exist" % module for module in sorted(shown - there)])


def defects():
    """[(number, title)] of docs/defects.txt."""
    lines = (line for line in read(os.path.join(DOCS, "defects.txt")).splitlines() if not line.startswith("#"))
    return [DEFECT.match(line).groups() for line in lines if line.strip()]


def defect_tests():
    """{"D16": [(path from the project's root, test name)]} of every test whose name says what it is for."""
    found = {}
    for path in files("tests", ".py"):
        for line in read(path).splitlines():
            match = TEST.match(line)
            if match:
                name, number = match.groups()
                entry = os.path.relpath(path, ROOT).replace(os.sep, "/"), name
                found.setdefault("D" + number, []).append(entry)
    return found


def defects_without_test():
    """Numbers of the list that no test names, and numbers that tests name and the list lacks; as text."""
    listed, tested = [number for number, _ in defects()], defect_tests()
    return (["%s has no test" % number for number in listed if number not in tested]
            + ["%s is tested and not in docs/defects.txt" % number for number in sorted(set(tested) - set(listed))])


def defect_table():
    """The table of defects and tests, as lines of reStructuredText."""
    tested = defect_tests()
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 8 46 46", "",
             "   * - Number", "     - What was wrong in 0.9", "     - Tests"]
    for number, title in defects():
        lines += ["   * - %s" % number, "     - %s" % title]
        tests = tested.get(number) or [("", "none yet")]
        places = {}
        for path, name in tests:
            places.setdefault(path, []).append(name)
        cells = ["| %s" % path + "".join("\n       | ``%s``" % name for name in sorted(set(names)))
                 for path, names in sorted(places.items())]
        lines.append("     - " + "\n       ".join(cells))
    return "\n".join(lines).splitlines()


def transition_table(transitions):
    """A table of states as lines of reStructuredText: state -> event -> the state after it."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 20 40 40", "",
             "   * - State", "     - Event", "     - State after it"]
    for state in transitions:
        for event, after in sorted(transitions[state].items()):
            lines += ["   * - **%s**" % state, "     - %s" % event.replace("_", " "), "     - %s" % after]
    return lines


def code_blocks(path):
    """[(line number, text)] of the Python blocks of a page."""
    blocks, lines = [], read(path).splitlines()
    number = 0
    while number < len(lines):
        match = re.match(r"^(\s*)\.\. (?:code-block|sourcecode|code):: (?:python|python3)\s*$", lines[number])
        number += 1
        if not match:
            continue
        indent = len(match.group(1))
        begun, block = number, []
        while number < len(lines) and (not lines[number].strip()
                                       or len(lines[number]) - len(lines[number].lstrip()) > indent):
            block.append(lines[number])
            number += 1
        while block and (not block[0].strip() or block[0].lstrip().startswith(":")):
            block.pop(0)
            begun += 1
        margin = min(len(line) - len(line.lstrip()) for line in block if line.strip())
        blocks.append((begun + 1, "\n".join(line[margin:] for line in block).rstrip() + "\n"))
    return blocks


def problems():
    """All that keeps the documentation from being whole, as lines of text."""
    return (["%s has no docstring" % name for name in all_undocumented()]
            + modules_without_page() + defects_without_test())

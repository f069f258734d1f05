"""How Sphinx builds kiel's documentation: offline, and not at all while a public name is undocumented."""
import importlib
import os
import sys

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.domains.python import PythonDomain
from sphinx.errors import SphinxError
from sphinx.util.nodes import make_refnode

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.dirname(HERE))

import checks  # noqa: E402
import kiel  # noqa: E402

project = "kiel"
author = "the kiel maintainers"
copyright = "the kiel maintainers, Apache License 2.0"
version = release = kiel.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
root_doc = "index"
html_theme = "furo"
html_title = "kiel %s" % release
# `name` in a docstring links where there is something to link to, and is code where not: see missing_reference()
default_role = "py:obj"
add_module_names = False
# the sidebar lists pages and sections only: with every method in it, drawing it for each page took minutes
toc_object_entries = False
autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource",
                           # what a package hands on is documented where it is made
                           "ignore-module-all": True}
autodoc_inherit_docstrings = True
# packages of extras, which the build can do without
autodoc_mock_imports = ["prometheus_client", "opentelemetry"]
nitpicky = True
nitpick_ignore_regex = [(r"py:.*", r"(tornado|kazoo|concurrent|ssl|socket|datetime|threading|pytest|_pytest|"
                         r"collections|_asyncio|argparse|logging|prometheus_client|opentelemetry)\..*"),
                        # a base that is nobody's business
                        (r"py:class", r"kiel\..*\._\w+")]


class Defects(Directive):
    """``.. defects::`` shows the table of 0.9's defects and the tests that stand against them."""

    has_content = False

    def run(self):
        """Parses the table made from docs/defects.txt and the names of the tests."""
        node = nodes.container()
        self.state.nested_parse(StringList(checks.defect_table(), source="docs/defects.txt"), 0, node)
        return node.children


class Transitions(Directive):
    """``.. transitions:: kiel.clients.consuming.cursor`` shows the TRANSITIONS of a module as a table."""

    required_arguments = 1
    has_content = False

    def run(self):
        """Parses the table made from the module itself."""
        module = importlib.import_module(self.arguments[0])
        node = nodes.container()
        lines = checks.transition_table(module.TRANSITIONS)
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), 0, node)
        return node.children


def missing_reference(app, env, node, contnode):
    """
    Finds what a short name means when there is just one such name in kiel: `Backoff` is `kiel.retry.Backoff`.

    So is what a package hands on: `kiel.testing.Kafka` is `kiel.testing.kafka.Kafka`.

    A bare `name` that means nothing documented is left as code; explicit roles stay strict.
    """
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    package, _, last = node["reftarget"].rpartition(".")
    found = [
        name for name in domain.objects if name.endswith("." + node["reftarget"])
        or package and name.startswith(package + ".") and name.endswith("." + last)
    ]
    # a class that an application imports is on the page API by that name, and on another by the name of its module
    found = [name for name in found if domain.objects[name].docname == "api"] or found
    if len(found) == 1:
        entry = domain.objects[found[0]]
        return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found[0])
    return contnode if node.get("reftype") == "obj" else None


class Python(PythonDomain):
    """Leaves names out of the search that are for who works on kiel."""

    def get_objects(self):
        """Yields (name, shown name, type, page, anchor, priority): below 0 the search does not show it."""
        for name, shown, kind, page, anchor, priority in super().get_objects():
            yield name, shown, kind, page, anchor, -1 if is_internal(page) else priority


def is_internal(page):
    """Whether a page is on how kiel is made; the design is found all the same."""
    return page.startswith("code/") and page != "code/design"


def hide_internals(app, env):
    """Leaves the texts of such pages out of the search."""
    for page in env.found_docs:
        if is_internal(page):
            env.metadata[page]["nosearch"] = True


def check(app):
    """Ends the build when a public name, a module or a defect is not covered."""
    found = checks.problems()
    if found:
        raise SphinxError("the documentation is not whole:\n  " + "\n  ".join(found))


def setup(app):
    """Adds the above to Sphinx."""
    app.add_directive("defects", Defects)
    app.add_directive("transitions", Transitions)
    app.add_domain(Python, override=True)
    app.connect("env-updated", hide_internals)
    app.connect("missing-reference", missing_reference)
    app.connect("builder-inited", check)

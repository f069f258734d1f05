"""Every denial names the right that is missing: the table has it for each api, and each caller says what it asked."""
from __future__ import absolute_import

import ast

import pytest

from kiel import constants, exc
from kiel.protocol import errors

from tests import syntax

#: (module, function) of errors that no denial comes as, or whose api is told elsewhere
OTHERWISE = {
    ("kiel.handshake", "_ask_versions"): "ApiVersions is never denied",
    ("kiel.groups.next_gen.coordinator_client", "note_left"): "only asks whether it passes",
    ("kiel.groups.next_gen.heartbeats", "_passes"): "only asks whether it passes",
    ("kiel.telemetry.push", "_reacts"): "nobody is denied to tell what a subscription asks for",
    ("kiel.security.login", "_agree"): "a login has no rights",
    ("kiel.security.login", "_refused"): "a login has no rights",
}


@pytest.mark.parametrize("api,code,names,text", [
    ("produce", 29, {"topic": "t", "transactional_id": None}, "Write on topic t"),
    ("fetch", 29, {"topic": "t"}, "Read on topic t"),
    ("join_group", 30, {"group": "g"}, "Read on group g"),
    ("init_producer_id", 31, {}, "IdempotentWrite on the cluster"),
    ("end_txn", 53, {"transactional_id": "i"}, "Write on transactional id i"),
    ("describe_delegation_token", 65, {}, "Describe on a delegation token"),
])
def test_the_text_of_a_denial(api, code, names, text):
    error = exc.for_code(code, "there", api, **names)
    assert isinstance(error, exc.AuthorizationError) and error.code == code
    assert str(error) == "%s (error %d): the user needs the right %s (there)" % (error.name, code, text)


def test_a_denial_of_an_unknown_api_is_the_code_alone():
    assert str(exc.for_code(29, "t")) == "topic_authorization_failed (error 29): t"
    assert exc.for_code(29).operation is None


def test_every_right_is_of_an_api_and_of_a_denial():
    assert set(constants.RIGHTS) <= set(constants.API_KEYS)
    for rights in constants.RIGHTS.values():
        assert set(rights) <= set(constants.RESOURCES)
    names = set(errors_of(constants.RESOURCES))
    assert names == set(name for _, name, _, _ in constants.ERRORS if name.endswith("authorization_failed"))


def errors_of(codes):
    return [constants.ERROR_CODES[code] for code in codes if getattr(errors, constants.ERROR_CODES[code]) == code]


def calls():
    """(module, the function around it, line, number of arguments) of each call of `for_code` with an answer's code."""
    for name, path in sorted(syntax.modules().items()):
        for function in ast.walk(syntax.parse(path)):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if node.func.attr == "for_code" and isinstance(node.args[0], ast.Attribute):
                    if node.args[0].attr == "error_code":
                        yield name, function.name, node.lineno, len(node.args)


def test_every_caller_says_what_it_asked():
    found = list(calls())
    assert len(found) > 15
    silent = [call for call in found if call[3] < 3 and call[:2] not in OTHERWISE and not call[0].startswith(
        "kiel.testing")]
    assert not silent

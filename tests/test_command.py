"""The command: its line, what it prints, its exit codes; what it asks is `tests/clients/test_admin.py`."""
from __future__ import absolute_import

import datetime
import json
import logging
import ssl

import pytest
import six
from tornado import gen

from kiel import command, exc, sasl
from kiel.clients.admin import Lag, Listing, Reset
from kiel.clients.grouping.group_view import GroupDescription, Member
from kiel.clients.offsets import BEGINNING, END

MEMBER = Member("m-1", None, u"w\xf6rker", "/10.0.0.1", None, ["t"], {"t": [0, 1], "u": [2]}, None, None, "classic")


class Scripted(object):
    """Stands in for `Admin`: notes what it is asked, and gives what a test says."""

    made = []

    def __init__(self, brokers, **settings):
        self.brokers, self.settings = brokers, settings
        self.asked = []
        self.closed = False
        self.made.append(self)

    def connect(self):
        return gen.maybe_future(None)

    def close(self):
        self.closed = True
        return gen.maybe_future(None)

    def __getattr__(self, name):
        @gen.coroutine
        def call(*args, **options):
            self.asked.append((name, args, options))
            answer = self.answers[name]
            if isinstance(answer, Exception):
                raise answer
            raise gen.Return(answer)
        if name not in self.answers:
            raise AttributeError(name)
        return call


@pytest.fixture
def run(monkeypatch):
    """Runs the command with answers of `Scripted`; gives the exit code and what was printed."""
    monkeypatch.setattr(command, "Admin", Scripted)
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(Scripted, "made", [])

    def go(line, **answers):
        monkeypatch.setattr(Scripted, "answers", answers, raising=False)
        out = six.StringIO()
        code = command.main(["groups"] + line.split() + ["--brokers", "b:1"], out)
        assert all(admin.closed for admin in Scripted.made)
        return code, out.getvalue()
    return go


def asked():
    return Scripted.made[-1].asked[-1]


def test_list(run):
    groups = [Listing("a", "consumer", "Stable", "classic"), Listing("bcd", "", "Empty", None)]
    code, text = run("list --state stable --state empty --type classic", list_groups=groups)
    assert code == 0 and asked() == ("list_groups", (["stable", "empty"], ["classic"]), {})
    assert text.splitlines() == ["GROUP  TYPE     STATE   PROTOCOL-TYPE",
                                 "a      classic  Stable  consumer",
                                 "bcd    -        Empty   -"]
    code, text = run("list --json", list_groups=groups)
    assert json.loads(text)[1] == {"group": "bcd", "type": None, "state": "Empty", "protocol_type": ""}
    assert run("list", list_groups=[]) == (0, "No groups.\n")


def test_describe(run):
    group = GroupDescription("g", "classic", "consumer", "Stable", "range", None, 1, [MEMBER])
    gone = GroupDescription("h", None, "", "Dead", "", None, 1, [])
    code, text = run("describe g", describe_groups={"g": group})
    assert code == 0
    assert text == six.ensure_str(
        u"Group g: Stable, classic, assignor range, coordinator 1\n"
        u"CLIENT-ID  HOST       MEMBER-ID  TYPE     TOPICS  ASSIGNMENT\n"
        u"w\xf6rker     /10.0.0.1  m-1        classic  t       t:0,1 u:2\n")
    code, text = run("describe g h", describe_groups={"g": group, "h": gone})
    assert code == 1 and text.endswith("\nGroup h: not there\nNo members.\n")
    code, text = run("describe g --json", describe_groups={"g": group})
    assert json.loads(text)[0]["members"][0]["assignment"] == {"t": [0, 1], "u": [2]}


def test_offsets_and_lag(run):
    code, text = run("offsets g --topic t", committed_offsets={("t", 10): None, ("t", 9): 12345})
    assert code == 0 and asked()[1] == ("g", ["t"])
    assert text.splitlines() == ["TOPIC  PARTITION  OFFSET", "t              9   12345", "t             10       -"]
    lag = {("t", 0): Lag(1, 3, 2, MEMBER, None),
           ("t", 1): Lag(4, None, None, None, exc.LeaderNotAvailableError("t:1"))}
    code, text = run("lag g --json", lag=lag)
    assert [(row["lag"], row["member_id"], row["error"]) for row in json.loads(text)] == [
        (2, "m-1", None), (None, None, "leader_not_available (error 5): t:1")]
    code, text = run("lag g", lag=lag)
    assert text.splitlines()[2].split()[:5] == ["t", "1", "4", "-", "-"] and "leader_not_available" in text
    assert run("lag g", lag={}) == (0, "Group g has no offsets and no members.\n")


def test_delete(run, capsys):
    assert run("delete g h", delete_group=None) == (0, "Deleted g.\nDeleted h.\n")
    code, text = run("delete g --offset a:b:3", delete_offsets=None)
    assert (code, text) == (0, "Deleted offsets of g.\n") and asked()[1] == ("g", [("a:b", 3)])
    code, text = run("delete g", delete_group=exc.NonEmptyGroupError("two members"))
    assert (code, text) == (1, "") and "g was not deleted: non_empty_group (error 68): two" in capsys.readouterr()[1]
    assert run("delete g --offset nonsense", delete_offsets=None)[0] == 2


@pytest.mark.parametrize("words,to", [
    ("--to-beginning", BEGINNING), ("--to-end", END), ("--to-time 1700000000000", 1700000000000),
    ("--to-time 2026-01-31T12:00", datetime.datetime(2026, 1, 31, 12)),
    ("--to-time 2026-01-31T12:00:01.5Z", datetime.datetime(2026, 1, 31, 12, 0, 1, 500000)),
    ("--to-offset t:1=5 --to-offset a:b:0=7", {("t", 1): 5, ("a:b", 0): 7}),
])
def test_where_a_reset_goes(run, words, to):
    assert run("reset g " + words, reset_offsets={})[0] == 0
    assert asked() == ("reset_offsets", ("g", to, None), {"dry_run": True})


def test_a_reset_is_a_dry_run_unless_it_is_to_be_executed(run, capsys):
    moves = {("t", 0): Reset(None, 3)}
    code, text = run("reset g --to-end --topic t", reset_offsets=moves)
    assert code == 0 and asked()[2] == {"dry_run": True} and asked()[1][2] == ["t"]
    assert text.splitlines() == ["TOPIC  PARTITION  BEFORE  AFTER", "t              0       -      3"]
    assert "Nothing was changed" in capsys.readouterr()[1]
    code, text = run("reset g --to-end --execute --json", reset_offsets=moves)
    assert asked()[2] == {"dry_run": False} and json.loads(text)[0]["done"] is True
    assert "Nothing" not in capsys.readouterr()[1]
    assert run("reset g --to-offset t:1=5 --topic t", reset_offsets={})[0] == 2


@pytest.mark.parametrize("line", [
    "reset g", "reset g --to-end --to-beginning", "reset g --to-time yesterday", "reset g --to-offset t=5",
    "reset g --to-offset t:1=-5", "list --sasl ROT13", "frobnicate", "",
])
def test_a_line_that_makes_no_sense(run, line):
    with pytest.raises(SystemExit) as error:
        run(line)
    assert error.value.code == 2


def test_failures_have_words_and_codes(run, capsys):
    assert run("list", list_groups=exc.NoBrokersError("nobody at b:1"))[0] == 1
    assert capsys.readouterr()[1] == "kiel: nobody at b:1\n"


# -- security --

def test_a_password_comes_from_the_environment_or_a_file(run, monkeypatch, tmpdir, capsys):
    monkeypatch.setenv("SECRET", "s3cret")
    assert run("list --sasl SCRAM-SHA-512 --user u --password-env SECRET", list_groups=[])[0] == 0
    made = Scripted.made[-1].settings["sasl"]
    assert isinstance(made, sasl.Scram) and (made.username, made.name) == ("u", "SCRAM-SHA-512")
    path = tmpdir.join("password")
    path.write("other\n")
    assert run("list --sasl PLAIN --user u --password-file %s" % path, list_groups=[])[0] == 0
    assert b"\0u\0other" == Scripted.made[-1].settings["sasl"].session().step(None)
    for line in ("--sasl PLAIN --user u", "--sasl PLAIN --password-env SECRET", "--user u",
                 "--sasl PLAIN --user u --password-env NOT_THERE", "--sasl PLAIN --user u --password-file /not/there",
                 "--sasl PLAIN --user u --password-env SECRET --password-file %s" % path):
        assert run("list " + line, list_groups=[])[0] == 2, line
    printed = capsys.readouterr()
    assert "s3cret" not in printed[0] + printed[1] and "other" not in printed[0] + printed[1]


def test_tls(run, tmpdir):
    assert run("list", list_groups=[])[0] == 0
    assert "ssl" not in Scripted.made[-1].settings
    assert run("list --tls --timeout 5", list_groups=[])[0] == 0
    made = Scripted.made[-1].settings
    assert isinstance(made["ssl"], ssl.SSLContext) and made["ssl"].verify_mode == ssl.CERT_REQUIRED
    assert made["request_timeout"] == made["retry"].deadline == 5
    assert run("list --ca-file %s" % tmpdir.join("none"), list_groups=[])[0] == 2

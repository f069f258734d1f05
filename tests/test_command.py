"""The command: its line, what it prints, its exit codes; what it asks is `tests/clients/test_admin.py`."""
from __future__ import absolute_import

import argparse
import collections
import datetime
import errno
import io
import json
import logging
import os
import signal

import pytest
import six
from tornado import gen

from kiel import command, exc, sasl
from kiel.clients.admin import Lag, Listing, Reset
from kiel.clients.consuming.record import Record
from kiel.clients.grouping.group_view import GroupDescription, Member
from kiel.clients.offsets import BEGINNING, END
from kiel.commands import completion, envelope, formats, logins, properties, showing
from kiel.security import tls

MEMBER = Member("m-1", None, u"w\xf6rker", "/10.0.0.1", None, ["t"], {"t": [0, 1], "u": [2]}, None, None, "classic")


Listed = collections.namedtuple("Listed", "name")


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
    alive = {"g": GroupDescription("g", "classic", "consumer", "Empty", "", None, 1, [])}
    assert run("lag g", lag={}, describe_groups=alive) == (0, "Group g has no offsets and no members.\n")
    code, text = run("lag g", lag=lag)
    assert code == 0 and text.endswith("Total lag: 2 in 2 partitions\n")


def test_a_group_that_is_not_there_is_a_failure(run, capsys):
    gone = {"g": GroupDescription("g", None, "", "Dead", "", None, 1, [])}
    for line in "lag g", "offsets g", "reset g --to-end", "reset g --to-end --topic t":
        answers = dict(lag={}, committed_offsets={}, describe_groups=gone)
        assert run(line, **answers) == (1, ""), line
        assert capsys.readouterr()[1] == "kiel: group g is not there\n"
    assert run("reset g --to-end --topic t --create", reset_offsets={("t", 0): Reset(None, 3)})[0] == 0
    old = dict(committed_offsets={}, describe_groups=exc.UnsupportedVersionError("describing needs Kafka 0.9"))
    assert run("offsets g", **old)[0] == 1


def test_lag_is_watched_until_it_is_enough(run, monkeypatch):
    found = [{("t", 0): Lag(1, 3, 2, MEMBER, None)}, {("t", 0): Lag(1, 6, 5, MEMBER, None)}]

    def enough(*_):
        if len(found) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return gen.maybe_future(found.pop(0) if found else {})
    monkeypatch.setattr(Scripted, "lag", enough, raising=False)
    code, text = run("lag g --watch 0.01")
    assert code == 130
    assert [line for line in text.splitlines() if "Total" in line] == [
        "Total lag: 2 in 1 partitions", "Total lag: 5 in 1 partitions, +3 in 0.01 s"]


def test_members_are_removed(run, capsys):
    code, text = run("remove-members g --member m --instance i", remove_members={
        "m": True, "i": exc.UnknownMemberIdError("member i of group g")})
    assert (code, text) == (1, "Removed m from g.\n") and asked()[1] == ("g", ["m"], ["i"])
    assert "member i" in capsys.readouterr()[1]
    assert run("remove-members g", remove_members={})[0] == 2
    assert run("remove-members g --all --json", remove_members={"m": True})[1].startswith("[")


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
    assert run("reset g --create " + words, reset_offsets={})[0] == 0
    assert asked() == ("reset_offsets", ("g", to, None), {"dry_run": True})


def test_a_reset_is_a_dry_run_unless_it_is_to_be_executed(run, capsys):
    moves = {("t", 0): Reset(None, 3)}
    code, text = run("reset g --to-end --topic t", reset_offsets=moves, committed_offsets={("t", 0): 1})
    assert code == 0 and asked()[2] == {"dry_run": True} and asked()[1][2] == ["t"]
    assert text.splitlines() == ["TOPIC  PARTITION  BEFORE  AFTER", "t              0       -      3"]
    assert "Nothing was changed" in capsys.readouterr()[1]
    code, text = run("reset g --to-end --execute --json --create", reset_offsets=moves)
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
    assert isinstance(made["ssl"], tls.TLS) and made["ssl"].check_hostname
    assert made["request_timeout"] == made["retry"].deadline == 5
    assert run("list --ca-file %s" % tmpdir.join("none"), list_groups=[])[0] == 2


# -- what all commands share --

@pytest.fixture
def line(monkeypatch, run):
    """Runs any kind of command with answers of `Scripted`; gives the exit code and what was printed."""
    def go(text, **answers):
        monkeypatch.setattr(Scripted, "answers", answers, raising=False)
        out = six.StringIO()
        code = command.main(text if isinstance(text, list) else text.split(), out)
        assert all(admin.closed for admin in Scripted.made)
        return code, out.getvalue()
    return go


def test_brokers_come_from_an_option_the_environment_or_a_file(line, monkeypatch, tmpdir, capsys):
    path = tmpdir.join("kiel.conf")
    path.write("# of the tests\nbootstrap.servers = file:1\nclient.id=me\nlog.level=3\n")
    assert line("topics list", list_topics=[])[0] == 2
    assert "which brokers?" in capsys.readouterr()[1]
    assert line("topics list -F %s" % path, list_topics=[]) == (0, "No topics.\n")
    assert Scripted.made[-1].brokers == "file:1" and Scripted.made[-1].settings["client_id"] == "me"
    assert "enable_metrics_push" not in Scripted.made[-1].settings
    for text, wanted in (("false", False), ("true", True)):
        assert line("topics list -F %s -X enable.metrics.push=%s" % (path, text), list_topics=[])[0] == 0
        assert Scripted.made[-1].settings["enable_metrics_push"] is wanted
    monkeypatch.setenv("KIEL_CONFIG", str(path))
    assert line("topics list", list_topics=[])[0] == 0 and Scripted.made[-1].brokers == "file:1"
    monkeypatch.setenv("KIEL_BROKERS", "env:1")
    assert line("topics list", list_topics=[])[0] == 0 and Scripted.made[-1].brokers == "env:1"
    assert line("topics list -b line:1", list_topics=[])[0] == 0 and Scripted.made[-1].brokers == "line:1"


@pytest.mark.parametrize("text", [
    "security.protocol=SASL_SSL\nsasl.mechanisms=SCRAM-SHA-512\nsasl.username=u\nsasl.password=s3cret\n",
    "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=org.apache.kafka.ScramLoginModule \\\n"
    "  required username=\"u\" password=\"s3cret\";\n",
])
def test_properties_of_java_and_of_librdkafka(line, tmpdir, text):
    path = tmpdir.join("p")
    path.write("bootstrap.servers=b:1\n" + text)
    assert line("topics list -F %s" % path, list_topics=[])[0] == 0
    made = Scripted.made[-1].settings
    assert isinstance(made["ssl"], tls.TLS)
    assert isinstance(made["sasl"], sasl.Scram) and (made["sasl"].username, made["sasl"].name) == ("u", "SCRAM-SHA-512")
    assert "s3cret" not in repr(made["sasl"])


@pytest.mark.parametrize("options,words", [
    ("-X sasl.password=s3cret", "would show it"), ("-X sasl.jaas.config=s3cret", "would show it"),
    ("-X no.such=1", "-X no.such is a property that kiel does not know"), ("-X nonsense", "NAME=VALUE"),
    ("-X security.protocol=TLS", "security.protocol is TLS"), ("-F /not/there", "can't be read"),
    ("-X ssl.truststore.type=JKS", "PEM"), ("-X enable.ssl.certificate.verification=false", "always checked"),
    ("-X sasl.mechanism=DIGEST-MD5", "PLAIN"), ("-X sasl.mechanism=PLAIN", "--user"),
])
def test_a_configuration_that_makes_no_sense(line, options, words, capsys):
    assert line("topics list -b b:1 " + options, list_topics=[])[0] == 2
    printed = capsys.readouterr()[1]
    assert words in printed and "s3cret" not in printed


def test_no_property_of_java_or_librdkafka_is_unheard_of(line, tmpdir, capsys):
    with io.open(os.path.join(os.path.dirname(__file__), "cases", "properties.txt"), encoding="ascii") as lines:
        names = " ".join(each for each in lines if each[0] != "#").split()
    assert len(names) > 250
    for name in sorted(set(names) - set(properties.MEANT)):
        found = {}
        try:
            properties.note(found, str(name), "x", "")
        except properties.CommandError as error:
            assert "does not support" in str(error), name
        assert not found
    for name in "sasl.oauthbearer.client.secret", "ssl.keystore.password", "ssl.key.pem", "ssl.keystore.key":
        assert line(["topics", "list", "-b", "b:1", "-X", name + "=s3cret"], list_topics=[])[0] == 2
        printed = capsys.readouterr()[1]
        assert "would show it" in printed and "s3cret" not in printed


@pytest.mark.parametrize("text", [
    "sasl.mechanisms=OAUTHBEARER\nsasl.oauthbearer.method=oidc\nsasl.oauthbearer.client.id=u\n"
    "sasl.oauthbearer.client.secret=s3cret\nsasl.oauthbearer.token.endpoint.url=https://idp/token\n",
    "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/token\n"
    "sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler\n"
    "sasl.jaas.config=x.OAuthBearerLoginModule required clientId='u' clientSecret='s3cret' scope='kafka';\n",
    "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://idp/token\nsasl.oauthbearer.scope=kafka\n"
    "sasl.oauthbearer.client.credentials.client.id=u\nsasl.oauthbearer.client.credentials.client.secret=s3cret\n",
])
def test_a_token_of_a_provider(line, tmpdir, text, capsys):
    path = tmpdir.join("p")
    path.write("bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\n" + text)
    assert line("topics list -F %s" % path, list_topics=[])[0] == 0
    made = Scripted.made[-1].settings["sasl"]
    assert isinstance(made, sasl.OAuthBearer) and "s3cret" not in repr(made)
    assert (made._token.url, made._token.client_id) == ("https://idp/token", "u")
    path.write("bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n")
    assert line("topics list -F %s" % path, list_topics=[])[0] == 2
    assert "token.endpoint.url" in capsys.readouterr()[1]


def test_credentials_of_aws(line, tmpdir):
    path = tmpdir.join("p")
    path.write("bootstrap.servers=b:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=AWS_MSK_IAM\n"
               "sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;\n"
               "sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler\n")
    assert line("topics list -F %s" % path, list_topics=[])[0] == 0
    assert isinstance(Scripted.made[-1].settings["sasl"], sasl.AwsMskIam)
    path.write("bootstrap.servers=b:1\nsasl.mechanism=PLAIN\nsasl.client.callback.handler.class=org.MyHandler\n")
    assert line("topics list -F %s" % path, list_topics=[])[0] == 2


@pytest.mark.parametrize("options,words", [
    ("-X acks=2", "acks is one of -1, 0, 1, all"), ("-X linger.ms=soon", "linger.ms is a number"),
    ("-X partitioner=consistent", "partitioner is consistent"), ("-X enable.idempotence=1", "true or false"),
])
def test_properties_of_a_producer_that_make_no_sense(options, words, capsys):
    assert command.main(("produce t -b b:1 " + options).split()) == 2
    assert words in capsys.readouterr()[1]


@pytest.mark.parametrize("options,words", [
    ("-X isolation.level=all", "isolation.level is read_committed or"),
    ("-G g -X topic.auto.offset.reset=none", "auto.offset.reset is earliest or"),
])
def test_properties_of_a_consumer_that_make_no_sense(options, words, capsys):
    assert command.main(("consume t -b b:1 " + options).split()) == 2
    assert words in capsys.readouterr()[1]


def test_what_became_of_several_things(line, capsys):
    answers = dict(delete_topics={"a": True, "b": exc.UnknownTopicOrPartitionError("topic b")})
    assert line("topics delete a b -b b:1", **answers) == (1, "Deleted a.\n")
    assert "topic b" in capsys.readouterr()[1]
    code, text = line("topics delete a b -b b:1 --json", **answers)
    assert code == 1 and [(row["topic"], row["done"]) for row in json.loads(text)] == [("a", True), ("b", False)]


@pytest.mark.parametrize("text", [
    "topics", "topics create -b b:1", "topics trim --before t=5", "configs alter topic t --set a -b b:1",
    "configs describe topics t", "cluster reassign --move t:0=a", "acls create --resource topic",
    "transactions abort t:0", "users set alice --mechanism PLAIN",
])
def test_other_lines_that_make_no_sense(line, text):
    with pytest.raises(SystemExit) as error:
        line(text)
    assert error.value.code == 2


@pytest.mark.parametrize("text,words", [
    ("configs alter topic t", "say what to change"), ("configs alter topic t --set a=1 --unset a", "changed twice"),
    ("configs describe topic", "name"), ("cluster reassign", "say what to move"), ("topics trim", "say what to delete"),
    ("users quotas --set producer_byte_rate=1", "an entity"), ("users set alice", "--new-password-file"),
    ("users set alice --new-password-env NOT_THERE", "NOT_THERE"),
])
def test_what_a_command_needs(line, text, words, capsys):
    assert line(text + " -b b:1", alter_scram_users={})[0] == 2
    assert words in capsys.readouterr()[1]


def test_a_full_disk_is_a_failure(monkeypatch, capsys):
    monkeypatch.setattr(command, "Admin", Scripted)
    monkeypatch.setattr(Scripted, "answers", dict(list_topics=[]), raising=False)
    monkeypatch.setattr(command, "_drop_output", lambda: None)

    class Full(object):
        def __init__(self, number):
            self.number = number

        def write(self, _):
            raise EnvironmentError(self.number, "of the tests")

        flush = write
    assert command.main("topics list -b b:1".split(), Full(errno.ENOSPC)) == 1
    assert "of the tests" in capsys.readouterr()[1]
    assert command.main("topics list -b b:1".split(), Full(errno.EPIPE)) == 0
    assert capsys.readouterr()[1] == ""


def test_colours(monkeypatch):
    class Terminal(six.StringIO):
        def isatty(self):
            return True
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert showing.painted(Terminal(), "kiel:", showing.RED) == "\x1b[31mkiel:\x1b[0m"
    assert showing.painted(six.StringIO(), "kiel:", showing.RED) == showing.painted(None, "kiel:", "1") == "kiel:"
    monkeypatch.setenv("TERM", "dumb")
    assert showing.painted(Terminal(), "kiel:", showing.RED) == "kiel:"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert showing.painted(Terminal(), "kiel:", showing.RED) == "kiel:"


def test_without_an_answer_nothing_is_completed(monkeypatch):
    names = completion.Names(command.shared_options(), completion.topics)
    monkeypatch.setattr(completion, "Admin", Scripted)
    for brokers, answer, wanted in (
        ("b:1", [Listed("colors"), Listed("dogs")], ["colors"]), (None, [], []), ("b:1", exc.NoBrokersError("no"), []),
    ):
        monkeypatch.setattr(Scripted, "answers", {"list_topics": answer}, raising=False)
        assert names("co", argparse.Namespace(brokers=brokers)) == wanted
    secret = argparse.Namespace(brokers="b:1", sasl="PLAIN", user="alice")  # not asked for while a line is typed
    monkeypatch.setattr(logins, "on_terminal", lambda: True)
    monkeypatch.setattr(logins.getpass, "getpass", lambda text: 1 / 0)
    monkeypatch.setattr(Scripted, "made", [])
    assert names("co", secret) == [] and not Scripted.made


# -- messages --

RECORD = Record("t", 3, 7, 1700000000000, b"k", b"v\xff", (("a", b"1"), ("b", None)))
NULLS = Record("t", 0, 8, -1, None, None, ())


@pytest.mark.parametrize("text,first,second", [
    ("%s\\n", b"v\xff\n", b"\n"), ("%S %K", b"2 1", b"-1 -1"), ("%t[%p]@%o %T", b"t[3]@7 1700000000000", b"t[0]@8 -1"),
    ("%k\\t%h\\x00", b"k\ta=1,b=NULL\0", b"\t\0"), ("100%% \\\\ \\q", b"100% \\ \\q", b"100% \\ \\q"),
])
def test_format_strings(text, first, second):
    write = formats.writer(text)
    assert (write([RECORD]), write([NULLS]), write([RECORD, NULLS])) == (first, second, first + second)
    assert formats.writer("%k %s", formats.hexadecimal)([RECORD, NULLS]) == b"6b 76ff "


def test_a_format_that_there_is_not():
    with pytest.raises(ValueError) as error:
        formats.writer("%s %x")
    assert "%x" in str(error.value)


def test_delimiters():
    for text, wanted in (("\\n", b"\n"), ("\\0", b"\0"), ("\\x1f--", b"\x1f--"), ("%%", b"%%"), (";", b";"),
                         ("", b"")):
        assert formats.unescaped(text) == wanted


@pytest.mark.parametrize("record", [
    RECORD, NULLS, Record("t", 0, 0, 5, u"\u20ac".encode("utf-8"), b"", (("h", b"\0"),))])
def test_what_an_envelope_holds_comes_out_again(record):
    packed = envelope.pack([record])
    assert packed.count(b"\n") == 1 and packed.endswith(b"\n")
    plain = json.loads(packed.decode("ascii"))
    assert json.dumps(plain, sort_keys=True).encode("ascii") + b"\n" == packed
    assert envelope.pack([record, record]) == 2 * packed
    assert envelope.unpack(packed) == (
        record.key, record.value, list(record.headers), None if record.timestamp < 0 else record.timestamp,
        record.partition)


def test_an_envelope_by_hand():
    assert envelope.unpack(b'{"value": {"b": [1, true]}}') == (None, b'{"b": [1, true]}', [], None, None)
    assert envelope.unpack(b'{"value": "x", "key": 5}')[0] == b"5"
    for wrong in b"x", b"[]", b"{}", b'{"value": 1, "headers": [1]}', b'{"value": {"base64": 5}}', b"\xff":
        with pytest.raises(ValueError):
            envelope.unpack(wrong)


@pytest.mark.parametrize("text,words", [
    ("consume t --json --hex", "JSON"), ("consume t -f %q", "%q"), ("consume t -c 0", "--count"),
    ("consume t -G g -o 5", "a group"), ("consume t -o 5 --from-time 5", "not both"),
    ("consume t --to-offset 5 --to-time 5", "not both"), ("produce t --whole", "files"),
    ("produce t --json -K :", "JSON"), ("produce t --message-key a -K :", "not both"), ("produce t -D ", "empty"),
])
def test_messages_that_make_no_sense(text, words, capsys):
    assert command.main(text.split(" ") + ["-b", "127.0.0.1:1"], six.StringIO()) == 2
    assert words in capsys.readouterr()[1]


def test_offsets_that_are_moved(line, capsys):
    class Group(object):
        found = {("t", 0): 5, ("t", 1): None}

        def committed_offsets(self, keys):
            assert sorted(keys) == [("t", 0), ("t", 1)]
            return gen.maybe_future(self.found)

        def commit(self, offsets, metadata):
            assert offsets == {("t", 0): 5}
            return gen.maybe_future({("t", 0): True})

    class Both(Scripted):
        cluster = type("Cluster", (), {"topics": {"t": [0, 1]}})

        def group(self, name):
            return Group()
    command.Admin = Both  # the fixture puts it back
    assert line("move-offsets g -b b:1") == (0, "t:0 at 5\n1 partitions of group g are in every store\n")
    assert Scripted.made[-1].settings["zookeeper_offsets"] is True
    Group.found = {("t", 0): None, ("t", 1): None}
    assert line("move-offsets g -b b:1")[0] == 1 and "nothing" in capsys.readouterr()[1]

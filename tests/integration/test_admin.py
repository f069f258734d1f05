"""
Groups seen from outside on real brokers: what kiel says of a live group of Java's is what Kafka's own tool says.

`KIEL_KAFKA` (releases with commas between) leaves out the Kafkas that it does not name.
"""
from __future__ import absolute_import

import contextlib
import datetime
import json
import os
import subprocess
import time
import uuid

import pytest
import six
from tornado import gen

from kiel import clients, command, exc
from kiel.clients import offsets
from kiel.testing import java, maven, processes

from tests import loop
from tests.integration import peer

#: seconds that a step may take
PATIENCE = 40

#: the releases of this run
SHARE = peer.share("0.9.0.1", "2.4.1", "4.4.0")
#: release, and the protocol that its members speak
LIVE = (("0.9.0.1", "classic"), ("2.4.1", "classic"), ("4.4.0", "classic"), ("4.4.0", "consumer"))

#: tool -> its class by releases before 3.5, and now
TOOLS = {
    "consumer": ("kafka.tools.ConsoleConsumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
    "groups": ("kafka.admin.ConsumerGroupCommand", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
}


@pytest.fixture(scope="module")
def started():
    """A function that gives the cluster of a release, started when first asked for."""
    return peer.shared


def classes(kafka, tool):
    return TOOLS[tool][peer.release(kafka) >= (3, 5)]


def new_group(kafka, partitions=3):
    """A topic with a few messages, and the name of a group."""
    name = uuid.uuid4().hex[:8]
    kafka.create_topic("admin-" + name, partitions)
    write(kafka, "admin-" + name, partitions)
    return "admin-" + name, "group-" + name


def write(kafka, topic, partitions=3, count=5):
    @gen.coroutine
    def body():
        writer = peer.Writer(kafka.bootstrap)
        yield writer.connect()
        for partition in range(partitions):
            yield writer.put(topic, partition, [b"%d" % number for number in range(count + partition)])
        yield writer.close()
    loop.run(body, PATIENCE)


def ask(kafka, question, **settings):
    """Runs a coroutine function of a connected `Admin`."""
    @gen.coroutine
    def body():
        admin = clients.Admin(kafka.bootstrap, **settings)
        admin.settings.probe_timeout = 0.5  # which 0.9 lets pass in silence
        yield admin.connect()
        try:
            result = yield gen.coroutine(question)(admin)
            if gen.is_future(result):
                result = yield result
        finally:
            yield admin.close()
        raise gen.Return(result)
    return loop.run(body, PATIENCE)


def groups(kafka, *args):
    """Runs the command; gives its exit code and what it printed."""
    out = six.StringIO()
    code = command.main(["groups"] + list(args) + ["--brokers", ",".join(kafka.bootstrap)], out)
    return code, out.getvalue()


@contextlib.contextmanager
def java_member(kafka, topic, group, protocol, tmpdir):
    """A live console consumer of the release."""
    config = tmpdir.join("member.properties")
    lines = ["group.id=" + group, "client.id=java", "auto.offset.reset=earliest", "auto.commit.interval.ms=100"]
    if protocol == "consumer":
        lines.append("group.protocol=consumer")
    config.write("\n".join(lines))
    release = peer.release(kafka)
    command = [java.java("Kafka's tools", kafka.release.java), "-Xmx128m"] + kafka.jvm_options()
    command += ["-cp", os.pathsep.join(maven.tools_classpath(kafka.release)), classes(kafka, "consumer")]
    command += ["--bootstrap-server", ",".join(kafka.bootstrap), "--topic", topic]
    command += ["--command-config" if release >= (4, 2) else "--consumer.config", str(config)]
    command += ["--new-consumer"] if release < (0, 10) else []
    process = processes.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate()


def settled(kafka, group, topic):
    """Waits until the group has read all that there is; gives its description and its lag."""
    def question(admin):
        deadline = time.time() + PATIENCE - 5
        while True:
            described = (yield admin.describe_groups([group]))[group]
            lags = yield admin.lag(group)
            if described.state == "Stable" and len(lags) == 3 and all(each.lag == 0 for each in lags.values()):
                raise gen.Return((described, lags))
            assert time.time() < deadline, (described, lags)
            yield gen.sleep(0.2)
    return ask(kafka, question)


def kafkas_word(kafka, group):
    """What Kafka's own tool says: {(topic, partition): (committed, end, lag, host and client as text)}."""
    args = ["--bootstrap-server", ",".join(kafka.bootstrap), "--describe", "--group", group]
    if peer.release(kafka) < (0, 10):
        args.append("--new-consumer")
    printed = kafka.run_tool(classes(kafka, "groups"), *args)
    rows = {}
    for line in printed.splitlines():
        cells = line.replace(",", " ").split()
        if len(cells) > 5 and cells[0] == group:
            rows[cells[1], int(cells[2])] = tuple(
                None if cell == "-" else int(cell) for cell in cells[3:6]) + (" ".join(cells[6:]),)
    assert rows, printed
    return rows


@pytest.mark.parametrize("version,protocol", [case for case in LIVE if case[0] in SHARE])
def test_a_live_group_as_kafkas_own_tool_sees_it(started, version, protocol, tmpdir):
    kafka = started(version)
    topic, group = new_group(kafka)
    with java_member(kafka, topic, group, protocol, tmpdir):
        described, lags = settled(kafka, group, topic)
        word = kafkas_word(kafka, group)
        assert (described.type, described.protocol_type, described.group) == (protocol, "consumer", group)
        assert described.assignor == ("uniform" if protocol == "consumer" else "range")
        assert (described.epoch is None) == (protocol == "classic")
        member, = described.members
        assert member.client_id.startswith("java") and member.host.startswith("/127.0.0.1")
        assert member.assignment == {topic: [0, 1, 2]} and member.topics == [topic]
        assert member.type == protocol and member.instance_id is None
        if protocol == "consumer":
            assert member.target == member.assignment and member.epoch >= 1
        assert dict((key, (lag.committed, lag.end, lag.lag)) for key, lag in lags.items()) \
            == dict((key, row[:3]) for key, row in word.items()) \
            == dict(((topic, number), (5 + number, 5 + number, 0)) for number in range(3))
        for key, row in word.items():
            assert lags[key].member == member
            assert member.client_id in row[3] and "127.0.0.1" in row[3]

        def refused(admin):
            """Everything that changes a group refuses a live one, with the names of those to stop."""
            error = yield loop.raises(exc.NonEmptyGroupError, admin.reset_offsets(group, offsets.BEGINNING))
            assert "1 live member" in str(error) and "java" in str(error)
            if peer.release(kafka) >= (2, 4):
                yield loop.raises(exc.NonEmptyGroupError, admin.delete_group(group))
                error = yield loop.raises(exc.GroupSubscribedToTopicError, admin.delete_offsets(group, [(topic, 0)]))
                assert "stop it first" in str(error)
            listed = yield admin.list_groups()
            assert [each for each in listed if each.group == group] == [(group, "consumer", "Stable", protocol)]
        ask(kafka, refused)
        assert groups(kafka, "reset", group, "--to-beginning", "--execute") == (command.FAILED, "")
        code, text = groups(kafka, "lag", group, "--json")
        assert code == 0 and [row["client_id"] for row in json.loads(text)] == [member.client_id] * 3
    # the member is gone: the offsets stay
    assert ask(kafka, lambda admin: admin.committed_offsets(group)) == dict(
        ((topic, number), 5 + number) for number in range(3))


@pytest.mark.parametrize("version", SHARE)
def test_offsets_are_set_and_deleted(started, version):
    kafka = started(version)
    topic, group = new_group(kafka)
    release = peer.release(kafka)
    key = topic, 1

    def question(admin):
        assert (yield admin.describe_groups([group]))[group].state == "Dead"
        assert (yield admin.committed_offsets(group)) == {}
        assert (yield admin.reset_offsets(group, offsets.END)) == {}
        plan = yield admin.reset_offsets(group, offsets.END, [topic], dry_run=True)
        assert plan == dict(((topic, number), (None, 5 + number)) for number in range(3))
        assert (yield admin.committed_offsets(group, [topic])) == dict.fromkeys(plan)
        # a group comes into being by being set
        assert (yield admin.reset_offsets(group, offsets.END, [topic])) == plan
        assert (yield admin.reset_offsets(group, {key: 2})) == {key: (6, 2)}
        # what is out of range becomes the nearest there is
        assert (yield admin.reset_offsets(group, {key: 99})) == {key: (2, 6)}
        assert (yield admin.reset_offsets(group, offsets.BEGINNING))[key] == (6, 0)
        yield loop.raises(exc.UnknownTopicOrPartitionError, admin.reset_offsets(group, {("nothing-here", 0): 1}))
        assert "nothing-here" not in admin.cluster.topics
        lag = (yield admin.lag(group))[key]
        assert (lag.committed, lag.end, lag.lag, lag.member, lag.error) == (0, 6, 6, None, None)
        # a time after all messages is the end; on the oldest Kafka, times are those of log segments
        later = datetime.datetime(*time.gmtime()[:6]) + datetime.timedelta(hours=1)
        assert (yield admin.reset_offsets(group, later))[key].after == 6
        assert (yield admin.reset_offsets(group, 1000))[key].after == 0
        listed = yield admin.list_groups(states=["empty"])
        assert (group in [each.group for each in listed]) == (release >= (0, 11)), listed
        if release < (2, 4):
            error = yield loop.raises(exc.UnsupportedVersionError, admin.delete_offsets(group, [key]))
            assert "2.4 or later" in str(error)
            error = yield loop.raises(exc.UnsupportedVersionError, admin.delete_group(group))
            assert "1.1 or later" in str(error)
            return
        yield admin.delete_offsets(group, [key])
        assert key not in (yield admin.committed_offsets(group))
        yield loop.raises(exc.UnknownTopicOrPartitionError, admin.delete_offsets(group, [("nothing-here", 0)]))
        yield admin.delete_group(group)
        assert (yield admin.committed_offsets(group)) == {}
        yield loop.raises(exc.GroupIdNotFoundError, admin.delete_group(group))
    ask(kafka, question)


def test_before_0_9_there_are_only_offsets(started):
    kafka = started("0.8.2.2")
    topic, group = new_group(kafka)

    def question(admin):
        yield admin.group(group).commit({(topic, 1): 3})
        assert (yield admin.committed_offsets(group)) == {(topic, 1): 3}
        for future in (admin.list_groups(), admin.describe_groups([group]), admin.lag(group),
                       admin.reset_offsets(group, offsets.END)):
            error = yield loop.raises(exc.UnsupportedVersionError, future)
            assert "needs Kafka 0.9 or later" in str(error)
    ask(kafka, question)


@pytest.mark.parametrize("version", ["2.4.1"])
def test_the_store_in_zookeeper(started, version):
    kafka = started(version)
    topic, group = new_group(kafka)

    def question(admin):
        yield admin.reset_offsets(group, {(topic, 0): 4, (topic, 1): 1})
    ask(kafka, question, zookeeper_offsets=True)
    ask(kafka, lambda admin: admin.reset_offsets(group, {(topic, 0): 2, (topic, 1): 3}))

    def check(admin):
        found = yield admin.committed_offsets(group)
        assert found == {(topic, 0): 4, (topic, 1): 3}
    ask(kafka, check, zookeeper_offsets=True)
    assert ask(kafka, lambda admin: admin.committed_offsets(group)) == {(topic, 0): 2, (topic, 1): 3}

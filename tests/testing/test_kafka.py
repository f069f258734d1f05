"""Real brokers, started, hurt and ended."""
from __future__ import absolute_import

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap

import pytest

from kiel import testing
from kiel.testing import admin, ports, processes, releases


EVERY = [version for version in releases.SUPPORTED if version != "3.9.1"] + ["3.9.1-zk", "3.9.1-kraft"]


@pytest.fixture(scope="module", params=["0.10.2.2", "4.4.0"])
def cluster(request):
    with testing.Kafka(request.param, settings={"log.retention.hours": 7}) as cluster:
        yield cluster


def _gone(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return True
    with open("/proc/%d/stat" % pid) as source:  # nobody may have reaped it yet
        return source.read().rsplit(")", 1)[1].split()[0] == "Z"


def test_topics_come_grow_and_go(cluster):
    cluster.create_topic("life", partitions=2, config={"retention.ms": 12345})
    assert sorted(cluster.metadata()[1]["life"]) == [0, 1]
    with pytest.raises(testing.TopicError):
        cluster.create_topic("life")
    cluster.create_partitions("life", 5)
    assert all(error == 0 and leader == 0 for error, leader, _, _ in cluster.metadata()[1]["life"].values())
    assert len(cluster.metadata()[1]["life"]) == 5
    cluster.alter_topic("life", {"retention.ms": 54321})
    cluster.delete_topic("life")
    assert "life" not in cluster.metadata()[1]


def test_settings_reach_the_broker(cluster):
    assert "log.retention.hours = 7" in cluster.brokers[0].log()


def test_killed_broker_comes_back_with_its_data_on_its_port(cluster):
    cluster.create_topic("kept", 3)
    broker = cluster.brokers[0]
    pid, port = broker.pid, broker.port
    broker.kill()
    assert broker.pid is None and not broker.running and _gone(pid)
    assert admin.metadata(broker.inner_address, timeout=0.5) is None
    broker.start()
    assert broker.port == port and broker.pid != pid
    cluster.wait_topic("kept", range(3))


def test_paused_broker_is_mute(cluster):
    broker = cluster.brokers[0]
    broker.pause()
    assert broker.running and not broker.live
    assert admin.metadata(broker.inner_address, timeout=0.5) is None
    broker.resume()
    assert admin.metadata(broker.inner_address) is not None


@pytest.mark.parametrize("version", ["0.8.2.2", "4.4.0"])
def test_three_brokers_lose_one(version):
    quick = {"zookeeper.session.timeout.ms": 2000,
             "broker.session.timeout.ms": 2000, "broker.heartbeat.interval.ms": 500}
    with testing.Kafka(version, brokers=3, settings=quick) as cluster:
        cluster.create_topic("t", partitions=3, replicas=3)
        assert len(set(leader for _, leader, _, _ in cluster.metadata()[1]["t"].values())) == 3
        assert len(cluster.bootstrap) == 3 == len(cluster.metadata()[0])
        cluster.brokers[2].kill()
        assert processes.wait_until(lambda: all(
            leader in (0, 1) for _, leader, _, _ in cluster.metadata()[1]["t"].values()), 20)
        cluster.create_topic("u", partitions=2, assignment={0: [0], 1: [1]})
        cluster.brokers[2].start()
        cluster.wait_topic("u", range(2))
        assert cluster.brokers[2] in cluster.live_brokers


@pytest.mark.parametrize("version", ["0.9.0.1", "4.4.0"])
def test_tls_is_there_and_checks_names(version):
    with testing.Kafka(version, tls=True) as cluster:
        context = ssl.create_default_context(cafile=cluster.ca_file)
        broker = cluster.brokers[0]
        for name in ("localhost", "127.0.0.1"):
            with contextlib.closing(socket.create_connection((broker.host, broker.port), 10)) as plain:
                context.wrap_socket(plain, server_hostname=name).close()
        with contextlib.closing(socket.create_connection((broker.host, broker.port), 10)) as plain:
            with pytest.raises((ssl.SSLError, ssl.CertificateError)):
                context.wrap_socket(plain, server_hostname="other.example")
        assert cluster.plaintext != cluster.bootstrap
        assert admin.metadata(broker.inner_address)[0] == {0: (broker.host, broker.inner_address[1])}


@pytest.mark.parametrize("version", ["0.10.0.1", "4.4.0"])
def test_sasl_plain_is_there(version):
    with testing.Kafka(version, sasl="PLAIN") as cluster:
        broker = cluster.brokers[0]
        answer = admin.call((broker.host, broker.port), 17, 0, admin._string("GSSAPI"))
        assert (answer.take("h"), answer.array(answer.string)) == (33, ["PLAIN"])


def test_ipv6():
    with testing.Kafka("0.10.2.2", host="::1") as cluster:
        assert cluster.bootstrap[0].startswith("[::1]:")
        assert cluster.metadata()[0][0][0] == "::1"


def test_chroot_on_another_zookeeper():
    with testing.ZooKeeper() as server:
        with testing.Kafka("0.8.2.2", zookeeper=server.hosts + "/some/where") as cluster:
            cluster.create_topic("t")
            assert cluster.zk_hosts == [server.hosts + "/some/where"]
            with server.client() as client:
                assert client.exists("/some/where/brokers/topics/t")
        assert server.running


def test_what_does_not_come_up_shows_its_log():
    with pytest.raises(testing.StartError) as caught:
        testing.Kafka("0.10.2.2", settings={"log.retention.hours": "nonsense"}).start()
    assert "nonsense" in str(caught.value) and "exit code" in str(caught.value)


RUN = """
    import os, sys, threading, time
    from kiel import testing
    kafka = testing.Kafka("0.8.2.2")
    starter = threading.Thread(target=kafka.start)
    starter.start(); starter.join()
    kafka.brokers[0].pause()
    print("%d %d %s %s" % (kafka.brokers[0].pid, kafka.zookeeper.pid, kafka.directory, kafka.zookeeper.directory))
    sys.stdout.flush()
    {end}
"""


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)", "sys.exit(3)", "1 / 0"])
def test_nothing_is_left_however_the_run_ends(end):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUN).replace("{end}", end)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate()
    words = out.decode("ascii").split()
    assert len(words) == 4, err
    assert processes.wait_until(lambda: all(_gone(int(pid)) for pid in words[:2]), 5)
    assert processes.wait_until(lambda: not any(os.path.exists(path) for path in words[2:]), 5)


def test_a_forked_child_that_ends_leaves_the_brokers_alone(cluster):
    child = os.fork()
    if child == 0:
        try:
            processes._at_exit()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert cluster.brokers[0].running and admin.metadata(cluster.brokers[0].inner_address)


@pytest.mark.parametrize("arguments", [["0.8.2.2"], ["--fake"]], ids=["real", "fake"])
def test_command_line_runs_until_told_to_stop(arguments):
    port, = ports.take()
    ports.give_back([port])
    process = subprocess.Popen(
        [sys.executable, "-m", "kiel.testing", "up", "--topic", "t:2", "--port", str(port)] + arguments,
        stdout=subprocess.PIPE)
    lines = []
    for line in iter(process.stdout.readline, b""):
        lines.append(line.decode("ascii"))
        if line.startswith(b"Ctrl-C"):
            break
    address = [line.split()[1] for line in lines if line.startswith("bootstrap")][0].rsplit(":", 1)
    address = (address[0], int(address[1]))
    assert address == ("127.0.0.1", port)
    with pytest.raises(testing.HarnessError):
        ports.claim(port)
    assert sorted(admin.metadata(address)[1]["t"]) == [0, 1]
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 0
    assert admin.metadata(address, timeout=0.5) is None


JAVA = """
public class Echo {
    public static void main(String[] args) throws Exception {
        String text = new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine();
        System.out.println(args[0] + " " + text + " " + org.slf4j.MarkerFactory.class.getName());
    }
}
"""


def test_java_helper(tmpdir):
    source = tmpdir.join("Echo.java")
    source.write(JAVA)
    helper = testing.java_helper(str(source), testing.jars("org.slf4j:slf4j-api:1.7.36"), "one")
    out, err = helper.communicate(b"two\n")
    assert out.split() == [b"one", b"two", b"org.slf4j.MarkerFactory"], err


@pytest.mark.slow
@pytest.mark.parametrize("version", EVERY)
def test_every_release_starts_and_stops(version):
    with testing.Kafka(version) as cluster:
        cluster.create_topic("t", 2)
        assert len(cluster.metadata()[0]) == 1


def test_first_cluster_keeps_its_classes_for_the_next(tmpdir, monkeypatch):
    from kiel.testing import archive, java
    if java.java_version(java.java("this test")) < archive.SINCE:
        pytest.skip("this Java makes no archives")
    kept = tmpdir.join("kept.jsa")
    monkeypatch.setattr(archive, "path", lambda classpath: str(kept))
    with testing.Kafka("0.8.2.2") as cluster:
        assert not archive.options(cluster.classpath)
    assert kept.check()
    with testing.Kafka("0.8.2.2") as cluster:
        with open("/proc/%d/maps" % cluster.brokers[0].pid) as source:
            assert str(kept) in source.read()


@pytest.mark.parametrize("version", ["0.10.2.2", "4.4.0"])
def test_run_tool(version):
    with testing.Kafka(version) as cluster:
        cluster.create_topic("seen", config={"retention.ms": 12345})
        name, where = ("org.apache.kafka.tools.TopicCommand", ("--bootstrap-server", cluster.plaintext[0]))
        if cluster.mode == "zk":
            name, where = ("kafka.admin.TopicCommand", ("--zookeeper", cluster.zk_hosts[0]))
        printed = cluster.run_tool(name, "--describe", "--topic", "seen", *where)
        assert "retention.ms=12345" in printed
        with pytest.raises(testing.HarnessError) as caught:
            cluster.run_tool(name, "--no-such-option", *where)
        assert "no-such-option" in str(caught.value)


@pytest.mark.parametrize("version", ["0.10.2.2", "2.8.2", "3.9.1-zk", "3.9.1-kraft", "4.4.0"])
def test_altered_setting_is_taken_over(version):
    """Brokers log what they take over."""
    with testing.Kafka(version) as cluster:
        cluster.create_topic("changed", config={"retention.ms": 99999})
        cluster.alter_topic("changed", {"max.message.bytes": 4321})
        assert processes.wait_until(lambda: "4321" in cluster.brokers[0].log(), 10)

"""
A real Kafka, or a fake one, for a developer's terminal.

``python -m kiel.testing up 4.4.0`` runs one until Ctrl-C, ``up --fake`` a `kiel.testing.FakeKafka`; ``fetch`` brings
jars into the cache beforehand; ``versions`` lists what is known.
"""
from __future__ import absolute_import, print_function

import argparse
import signal
import sys
import time

from kiel.testing import FakeKafka, Kafka, errors, maven, releases


def main(argv=None):
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kiel.testing", description="A real Kafka on this machine.")
    commands = parser.add_subparsers(dest="command")
    up = commands.add_parser("up", help="run a cluster until Ctrl-C")
    up.add_argument("version", nargs="?", default=releases.DEFAULT, help="a release (default %(default)s)")
    up.add_argument("--brokers", type=int, default=1, help="how many (default 1)")
    up.add_argument("--mode", choices=("zk", "kraft"), help="default: KRaft where the release can")
    up.add_argument("--host", default="127.0.0.1", help="the loopback address to listen on (or ::1)")
    up.add_argument("--port", type=int, help="where clients connect to, such as 9092; further brokers have the"
                    " next ones (default: any that are free)")
    up.add_argument("--fake", action="store_true", help="a fake one, in this process and without Java")
    up.add_argument("--tls", action="store_true", help="clients speak TLS")
    up.add_argument("--client-auth", action="store_true", help="TLS clients must have a certificate")
    up.add_argument("--sasl", action="append", default=[], metavar="MECHANISM",
                    help="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; may be given several times")
    up.add_argument("--setting", action="append", default=[], metavar="KEY=VALUE",
                    help="a broker setting; may be given several times")
    up.add_argument("--topic", action="append", default=[], metavar="NAME[:PARTITIONS]",
                    help="create a topic; may be given several times")
    fetch = commands.add_parser("fetch", help="bring the jars of releases into the cache")
    fetch.add_argument("version", nargs="*", help="releases, or none for all that kiel's tests use")
    commands.add_parser("versions", help="list the known releases and what each needs")
    args = parser.parse_args(argv)
    if args.command is None:
        parser.error("say what to do: up, fetch or versions")
    try:
        return {"up": run_up, "fetch": run_fetch, "versions": run_versions}[args.command](args) or 0
    except errors.HarnessError as error:
        print("kiel.testing: %s" % error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def run_up(args):
    """Run a cluster until Ctrl-C or SIGTERM."""
    if args.fake:
        return run_fake(args)
    settings = dict(setting_of(text) for text in args.setting)
    heed_signals()
    began = time.time()
    with Kafka(args.version, brokers=args.brokers, mode=args.mode, settings=settings, tls=args.tls, sasl=args.sasl,
               client_auth=args.client_auth, host=args.host, port=args.port) as kafka:
        make_topics(kafka, args.topic)
        print("Kafka %s (%s) is up after %.1f s" % (kafka.version, kafka.mode, time.time() - began))
        print_cluster(kafka)
        if not go_on("Ctrl-C ends it and removes its data.", lambda: all(broker.running for broker in kafka.nodes)):
            return 0
        raise errors.HarnessError("a broker has ended:\n%s" % kafka.log())


def run_fake(args):
    """Run a fake cluster until Ctrl-C or SIGTERM."""
    if args.tls or args.client_auth or args.sasl or args.setting or args.mode:
        raise errors.HarnessError("--fake knows no TLS, no logins, no settings and no modes")
    heed_signals()
    with FakeKafka(brokers=args.brokers, host=args.host, port=args.port or 0) as kafka:
        make_topics(kafka, args.topic)
        print("A fake Kafka is up; it keeps everything in memory")
        print("bootstrap  %s" % ",".join(kafka.bootstrap))
        go_on("Ctrl-C ends it.", lambda: True)


def go_on(text, goes_on):
    """Say how to end this, and wait for that: return False then, True when it has ended by itself."""
    try:
        print(text)
        sys.stdout.flush()
        while goes_on():
            time.sleep(0.5)
        return True
    except KeyboardInterrupt:
        print("")
        return False


def heed_signals():
    """Let Ctrl-C and SIGTERM end this in good order."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the with block ends in good order


def make_topics(kafka, topics):
    """Make the topics of the command line, "NAME" or "NAME:PARTITIONS" each."""
    for topic in topics:
        name, _, partitions = topic.partition(":")
        kafka.create_topic(name, int(partitions or 1))


def setting_of(text):
    """Return ``(key, value)`` of "KEY=VALUE"."""
    key, equals, value = text.partition("=")
    if not equals:
        raise errors.HarnessError("--setting wants KEY=VALUE, not %r" % text)
    return key, value


def print_cluster(kafka):
    """Print what clients have to know of a cluster, and where its logs are."""
    print("bootstrap  %s" % ",".join(kafka.bootstrap))
    if kafka.protocol != "PLAINTEXT":
        print("protocol   %s" % kafka.protocol)
        print("plaintext  %s" % ",".join(kafka.plaintext))
    if kafka.zk_hosts:
        print("zookeeper  %s" % ",".join(kafka.zk_hosts))
    if kafka.ca_file:
        print("authority  %s" % kafka.ca_file)
    if kafka.client_auth:
        print("client     %s %s" % (kafka.client_cert, kafka.client_key))
    if kafka.sasl:
        print("users      %s" % " ".join("%s/%s" % user for user in sorted(kafka.users.items())))
    print("logs       %s" % kafka.directory)


def run_fetch(args):
    """Bring the jars of releases into the cache."""
    wanted = [releases.find(version.partition("-")[0]) for version in args.version or releases.SUPPORTED]
    for number, release in enumerate(wanted, 1):
        count = len(maven.kafka_classpath(release))
        print("%d of %d: Kafka %s, %d jars" % (number, len(wanted), release.version, count))
        sys.stdout.flush()
    count = len(maven.zookeeper_classpath(releases.ZOOKEEPER_DEFAULT))
    print("ZooKeeper %s, %d jars" % (releases.ZOOKEEPER_DEFAULT, count))


def run_versions(args):
    """List the known releases and what each needs."""
    form = "%-10s %-6s %-10s %-10s %-5s %-4s %s"
    print(form % ("Kafka", "Scala", "mode", "ZooKeeper", "Java", "MB", "beside its own jars"))
    for row in releases.RELEASES:
        print(form % (row.version, row.scala, ", ".join(row.modes), row.zookeeper or "-", row.java, row.megabytes,
                      ", ".join(extra.split(":", 1)[1] for extra in row.extras)))


if __name__ == "__main__":
    sys.exit(main())

"""Producers that are dropped, or live on in a forked process: each case in a process of its own."""
from __future__ import absolute_import

import os
import subprocess
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

BEGIN = """
from __future__ import print_function
import gc, logging, os, sys, warnings
warnings.simplefilter("always")
logging.basicConfig(format="%(levelname)s %(message)s")
from tornado import gen, ioloop
from kiel import clients, exc
from tests.fake import FakeCluster

@gen.coroutine
def main():
    cluster = FakeCluster(topics={"t": 1})
    cluster.start()
    producer = clients.Producer(cluster.bootstrap, serializer=bytes, linger=60, batch_size=10 ** 6)
    yield producer.connect()
"""

END = """
ioloop.IOLoop.current().run_sync(main)
"""


def output(body, end=""):
    """Run a program; return all that it printed."""
    lines = "".join("    %s\n" % line for line in body.strip().split("\n"))
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + lines + END + end], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    text = process.communicate()[0].decode("utf-8")
    assert process.returncode == 0, text
    return text


def test_a_producer_that_is_never_closed_says_what_is_lost():
    text = output("""
yield [producer.produce("t", b"x") for _ in range(1000)]
""")
    assert text.count("ERROR a producer was not closed: 1000 messages not delivered (1000 for t:0)") == 1, text
    assert ("ResourceWarning" in text) == (sys.version_info[0] > 2)


def test_a_producer_that_is_collected_says_what_is_lost():
    text = output("""
yield [producer.produce("t", b"x") for _ in range(10)]
io_loop = producer.io_loop
for timer in ("_linger_timer", "_deadline_timer"):
    io_loop.remove_timeout(getattr(producer._sender, timer))
for broker in producer.cluster.conns.values():
    broker.close()
producer.cluster.stop()
yield gen.sleep(0.05)
del producer
gc.collect()
print("collected")
""")
    assert text.index("10 messages not delivered") < text.index("collected"), text


def test_a_producer_that_is_closed_says_nothing():
    text = output("""
yield [producer.produce("t", b"x") for _ in range(10)]
yield producer.close()
cluster.stop()
""")
    assert "not delivered" not in text and "ERROR" not in text, text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_was_produced_before_a_fork_is_delivered_once():
    text = output("""
yield [producer.produce("t", b"before") for _ in range(10)]
child = os.fork()
if not child:
    try:
        failed = producer.produce("t", b"child").exception()
        print("child:", type(failed).__name__, "connect()" in str(failed))
        failed = producer.flush().exception()
        print("flush:", type(failed).__name__)
        sys.stdout.flush()
    finally:
        os._exit(0)
os.waitpid(child, 0)
yield producer.produce("t", b"parent")
yield producer.close()
print("written:", cluster.log("t").end)
cluster.stop()
""")
    assert "child: ClosedError True" in text and "flush: ClosedError" in text, text
    assert "written: 11" in text and "not delivered" not in text, text

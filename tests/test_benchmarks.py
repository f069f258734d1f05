"""What the benchmarks say is what they measured: the parts that need no broker."""
from __future__ import absolute_import

import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from tornado import gen

from tests import loop

pytestmark = pytest.mark.skipif(sys.version_info < (3, 7), reason="benchmarks run on current Pythons")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BARE = """
from benchmarks.peers import bare_peer, task
bare_peer.check()
assert not task.packages(), task.packages()
"""

FOUND = """
import sys
from benchmarks.peers import task
sys.modules["crc32c"] = sys.modules["confluent_kafka.cimpl"] = task
print(task.packages())
"""


def python(code):
    """Runs code in a process of its own; gives what it printed."""
    return subprocess.check_output([sys.executable, "-c", code], env=dict(os.environ, PYTHONPATH=ROOT), cwd=ROOT)


def test_the_bare_peer_has_no_optional_package():
    python(BARE)


def test_a_result_names_what_was_loaded():
    assert python(FOUND).decode().strip() == "['crc32c', 'librdkafka']"


def test_a_table_holds_medians_of_pairs_and_packages():
    from benchmarks import compare

    def result(wall, *packages):
        return {"count": 1000, "wall": wall, "cpu": wall / 2, "memory": 5000000, "packages": list(packages)}

    results = {"consume": {
        "kiel": [result(1.0, "crc32c"), result(2.0, "crc32c"), result(4.0, "crc32c")],
        "bare": [result(2.0), result(4.0), result(8.0)],
        "aiokafka": [result(3.0, "cramjam"), result(6.0, "cramjam"), result(16.0, "cramjam")],
    }}
    clock, processor, memory = compare.report(results, ["kiel", "bare", "aiokafka"], 100)
    assert clock.columns == ["task", "kiel", "kiel, no packages", "aiokafka"]
    assert clock.rows == [["consume() as bytes", "500", "250 (2.00)", "167 (3.00)"]]
    assert processor.rows == [["consume() as bytes", "1,000", "500 (2.00)", "333 (3.00)"]]
    assert memory.rows == [["consume() as bytes", "5.0", "5.0", "5.0"]]
    assert memory.note == ("Loaded were: kiel with crc32c; kiel, no packages with none; aiokafka with cramjam.")
    assert clock.lines()[2:] == [
        "  task                kiel  kiel, no packages    aiokafka",
        "  consume() as bytes   500         250 (2.00)  167 (3.00)"]
    assert clock.rst()[2:] == [
        "==================  ====  =================  ==========",
        "task                kiel  kiel, no packages    aiokafka",
        "==================  ====  =================  ==========",
        "consume() as bytes   500         250 (2.00)  167 (3.00)",
        "==================  ====  =================  ==========", ""]


def test_what_waited_is_in_milliseconds():
    from benchmarks import table
    ours, theirs = ({"median": 0.0002, "p99": 0.001, "packages": []}, {"median": 0.0004, "p99": 0.0005, "packages": []})
    waits, = table.beside({"one": {"kiel": [ours], "confluent": [theirs]}}, ["kiel", "confluent"], "x")
    assert waits.rows == [["one", "0.20, 1.00", "0.40, 0.50 (0.50, 2.00)"]]


def test_the_floor_of_an_idempotent_producer_is_told_in_messages():
    from benchmarks import realistic
    text = realistic.floor()
    for part in ("5 batches of a partition", "15,300 of these messages", "153,000 a second at 100 ms"):
        assert part in text


@pytest.mark.parametrize("peer", ["kiel", "aiokafka", "confluent"])
def test_each_guarantee_is_one_of_each_client(peer):
    """One of them is what the client does by default, and is not measured twice."""
    from benchmarks import realistic
    given = [options[peer] for options in realistic.GUARANTEES.values()]
    assert given.count(None) == 1 and len(given) == 2


def test_the_readme_gets_its_tables(monkeypatch, tmpdir):
    from benchmarks import page, runs, table
    readme = tmpdir.join("README.rst")
    readme.write("before\n\n" + page.BEGIN + "old\n\n" + page.END + "\nafter\n")
    monkeypatch.setattr(runs, "ROOT", str(tmpdir))
    made = table.Table("speed", ["task", "kiel"])
    made.add("consume()", "5")
    page.write_readme(["kiel 1", "today"], [made])
    text = readme.read()
    assert text.startswith("before\n\n" + page.BEGIN) and text.endswith(page.END + "\nafter\n")
    assert "old" not in text and "Figures of kiel 1; today." in " ".join(text.split()) and "\nconsume()     5\n" in text


def test_the_table_of_growth_has_the_first_point_the_last_and_the_highest():
    from benchmarks import growth, sweeps
    sweep = sweeps.Sweep("growth", "cost by topics", "topics", "microseconds")
    for topics, cost in ((1, 2.0), (100, 5.0), (5000, 2.5)):
        sweep.add("consume()", topics, cost)
    assert growth.table([sweep]).rows == [
        ["cost by topics", "consume()", "microseconds", "2.00 at 1", "2.50 at 5000", "5.00"]]


def test_a_callback_that_is_late_through_the_process_itself_is_told_from_one_that_waits():
    from benchmarks.peers import delay_peer

    @gen.coroutine
    def body():
        this = delay_peer.Watched(dict(bootstrap=[], topic="t", count=0, size=1, seconds=1))
        try:
            this.begin()
            yield gen.sleep(0.01)
            time.sleep(0.05)
            yield gen.sleep(0.01)
            assert max(this.delays) > 0.03 and max(this.own) < 0.03
            until = time.process_time() + 0.05
            while time.process_time() < until:
                pass
            yield gen.sleep(0.01)
            assert max(this.own) > 0.03
            this.end()
        finally:
            this.close()
    loop.run(body)


def test_the_messages_of_a_service_are_of_the_sizes_that_the_table_says():
    from benchmarks.peers import task
    messages = list(task.services(6000))
    sizes = sorted(len(value) for _, value in messages)
    assert len(messages) == 6000 and messages == list(task.services(6000))
    assert set(len(key) for key, _ in messages) == {7} and len(task.HEADER[1]) == 55
    assert 200 < sizes[3000] < 240 and sizes[-1] > 4 * sizes[3000]


def test_a_proxy_passes_on_what_it_gets_later_and_in_order():
    from benchmarks import proxy
    from kiel.testing import ports
    near, far = ports.take(2)
    broker = socket.socket()
    broker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    broker.bind(("127.0.0.1", far))
    broker.listen(1)

    def echo():
        """Sends back what comes, until its end."""
        there = broker.accept()[0]
        for data in iter(lambda: there.recv(100), b""):
            there.sendall(data)
        there.close()
    thread = threading.Thread(target=echo)
    thread.daemon = True
    thread.start()
    try:
        with proxy.running(near, far, 30):
            client = socket.create_connection(("127.0.0.1", near), 30)
            begun = time.time()
            client.sendall(b"a" * 1000)
            client.sendall(b"b" * 1000)
            found = b""
            while len(found) < 2000:
                found += client.recv(2000)
            assert found == b"a" * 1000 + b"b" * 1000 and time.time() - begun >= 0.06
            client.close()
    finally:
        broker.close()
        ports.give_back([near, far])

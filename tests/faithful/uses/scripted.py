"""A broker of 2016 on loopback, on threads of its own, that can be told to answer otherwise; for both kiels."""
from __future__ import absolute_import

import collections
import socket
import struct
import threading
import time

from . import wire
from .wire import array, blob, number, text

#: what a hook gives for: hang up, and: say nothing ever
CLOSE, MUTE = "close", "mute"


class Scripted(object):
    """
    One broker, id 1, that speaks version 0 of seven apis and says so.

    ``requests`` are ``(api name, topics)`` of what came; ``logs[topic][partition]`` lists ``(key, value)``,
    ``committed[group, topic, partition]`` offsets. ``errors[api]`` is a list of codes, one for each of the next
    answers; ``delays[api]`` seconds before an answer; ``hooks[api]`` a function of the request's `wire.Reader` that
    gives the answer's bytes, CLOSE, MUTE, or None for the usual one.

    :param topics: {name: number of partitions}
    :param advertised: ``(host, port)`` that metadata names, if not where it listens
    """

    def __init__(self, topics, advertised=None):
        self.logs = dict((name, [[] for _ in range(count)]) for name, count in topics.items())
        self.first = collections.defaultdict(int)  # (topic, partition) -> offset of the first message there is
        self.committed = {}
        self.requests = []
        self.errors = collections.defaultdict(list)
        self.delays = {}
        self.hooks = {}
        self.advertised = advertised
        self.closed = False
        self.changed = threading.Condition()
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.open = []
        self._thread(self._accept)

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def put(self, topic, *values, **options):
        """Appends values, the ``key`` with each, to a ``partition``."""
        with self.changed:
            self.logs[topic][options.get("partition", 0)].extend((options.get("key"), value) for value in values)
            self.changed.notify_all()

    def count(self, api):
        return sum(name == api for name, _ in self.requests)

    def stop(self):
        self.closed = True
        for sock in [self.socket] + self.open:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except socket.error:
                pass
            sock.close()
        with self.changed:
            self.changed.notify_all()

    @staticmethod
    def _thread(target, *args):
        thread = threading.Thread(target=target, args=args)
        thread.daemon = True
        thread.start()

    def _accept(self):
        while not self.closed:
            try:
                sock = self.socket.accept()[0]
            except (socket.error, OSError):
                return
            self.open.append(sock)
            self._thread(self._serve, sock)

    def _serve(self, sock):
        try:
            while not self.closed:
                size, = struct.unpack(">i", wire.receive(sock, 4))
                request = wire.Reader(wire.receive(sock, size))
                answer = self._answer(request)
                if answer == MUTE:
                    continue
                if answer == CLOSE:
                    break
                if answer is not None:
                    sock.sendall(blob(number("i", self._correlation(request)) + answer))
        except (EOFError, socket.error, OSError):
            pass
        finally:
            sock.close()

    @staticmethod
    def _correlation(request):
        return struct.unpack_from(">i", request.data, 4)[0]

    def _answer(self, request):
        key, version = request.number("h"), request.number("h")
        request.number("i")
        request.text()
        api = wire.NAMES.get(key)
        if api is None or (version and api != "api_versions"):
            return CLOSE
        time.sleep(self.delays.get(api, 0))
        at = request.at
        hook = self.hooks.get(api)
        answer = hook(request) if hook else None
        request.at = at
        code = self.errors[api].pop(0) if self.errors[api] else 0
        usual = getattr(self, "_" + api)(request, code)
        return usual if answer is None else answer

    # -- the apis

    def _api_versions(self, request, code):
        self.requests.append(("api_versions", None))
        asked, = struct.unpack_from(">h", request.data, 2)
        return number("h", 35 if asked else 0) + array(
            [number("h", key) + number("h", 0) + number("h", 0) for key in sorted(wire.NAMES)])

    def _list_groups(self, request, code):
        self.requests.append(("list_groups", None))
        groups = sorted(set(group for group, _, _ in self.committed))
        return number("h", code) + array([text(group) + text("consumer") for group in groups])

    def _metadata(self, request, code):
        named = request.array(request.text)
        self.requests.append(("metadata", named))
        host, port = self.advertised or ("127.0.0.1", self.port)
        topics = []
        for name in named or sorted(self.logs):
            if name not in self.logs:
                topics.append(number("h", 3) + text(name) + array([]))
                continue
            topics.append(number("h", code) + text(name) + array([
                number("h", 0) + number("i", partition) + number("i", 1) + array([number("i", 1)]) * 2
                for partition in range(len(self.logs[name]))
            ]))
        return array([number("i", 1) + text(host) + number("i", port)]) + array(topics)

    def _produce(self, request, code):
        acks = request.number("h")
        request.number("i")
        topics = request.topics(lambda: (request.number("i"), request.blob()))
        self.requests.append(("produce", [(acks, topics)]))
        answer = []
        for topic, partitions in topics:
            parts = []
            for partition, data in partitions:
                known = topic in self.logs and partition < len(self.logs[topic])
                offset = self._end(topic, partition) if known else -1
                if known and not code:
                    for _, attributes, key, value in wire.entries(data):
                        self.put(topic, value, key=key, partition=partition)
                parts.append(number("i", partition) + number("h", code if known else 3) + number("q", offset))
            answer.append(text(topic) + array(parts))
        return None if acks == 0 else array(answer)

    def _end(self, topic, partition):
        return self.first[topic, partition] + len(self.logs[topic][partition])

    def _fetch(self, request, code):
        request.number("i")
        wait, least = request.number("i"), request.number("i")
        topics = request.topics(lambda: (request.number("i"), request.number("q"), request.number("i")))
        self.requests.append(("fetch", topics))
        deadline = time.time() + wait / 1000.0
        with self.changed:
            while True:
                answer, size, bad = self._fetched(topics, code)
                left = deadline - time.time()
                if size >= least or bad or left <= 0 or self.closed:
                    return answer
                self.changed.wait(left)

    def _fetched(self, topics, code):
        """The answer, how many bytes of messages it has, and whether there is an error in it."""
        answer, total, bad = [], 0, False
        for topic, partitions in topics:
            parts = []
            for partition, offset, size in partitions:
                first, end = self.first[topic, partition], self._end(topic, partition)
                error, data = code, b""
                if not error and not first <= offset <= end:
                    error = 1
                if not error:
                    log = self.logs[topic][partition]
                    for number_, (key, value) in enumerate(log[offset - first:], offset):
                        # whole messages only: 0.9 reads on past one that is cut off, into the next partition
                        one = wire.entry(number_, key, value)
                        if data and len(data) + len(one) > size:
                            break
                        data += one
                total += len(data)
                bad = bad or bool(error)
                parts.append(number("i", partition) + number("h", error) + number("q", end) + blob(data))
            answer.append(text(topic) + array(parts))
        return array(answer), total, bad

    def _offset(self, request, code):
        request.number("i")
        topics = request.topics(lambda: (request.number("i"), request.number("q"), request.number("i")))
        self.requests.append(("offset", topics))
        answer = []
        for topic, partitions in topics:
            parts = []
            for partition, when, _ in partitions:
                offset = self.first[topic, partition] if when == -2 else self._end(topic, partition)
                offsets = [] if code else [number("q", offset)]
                parts.append(number("i", partition) + number("h", code) + array(offsets))
            answer.append(text(topic) + array(parts))
        return array(answer)

    def _offset_commit(self, request, code):
        group = request.text()
        topics = request.topics(lambda: (request.number("i"), request.number("q"), request.text()))
        self.requests.append(("offset_commit", topics))
        answer = []
        for topic, partitions in topics:
            for partition, offset, _ in partitions:
                if not code:
                    self.committed[group, topic, partition] = offset
            answer.append(text(topic) + array([number("i", item[0]) + number("h", code) for item in partitions]))
        return array(answer)

    def _offset_fetch(self, request, code):
        group = request.text()
        topics = request.topics(lambda: request.number("i"))
        self.requests.append(("offset_fetch", topics))
        answer = []
        for topic, partitions in topics:
            parts = []
            for partition in partitions:
                offset = self.committed.get((group, topic, partition), 0)
                parts.append(number("i", partition) + number("q", offset) + text("") + number("h", code))
            answer.append(text(topic) + array(parts))
        return array(answer)

    def _group_coordinator(self, request, code):
        self.requests.append(("group_coordinator", request.text()))
        host, port = self.advertised or ("127.0.0.1", self.port)
        return number("h", code) + number("i", 1) + text(host) + number("i", port)

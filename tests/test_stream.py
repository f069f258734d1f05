"""The socket of a connection, against another one in the same process."""
from __future__ import absolute_import

import socket
import struct

from tornado import concurrent, gen, ioloop, iostream

from kiel.stream import Stream

from tests import loop


class Pair(object):
    """A `Stream` and the plain socket at the other end; ``frames`` came, ``errors`` ended it."""

    def __init__(self, early=b"", hang_up=False):
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        near = socket.create_connection(server.getsockname())
        self.far, _ = server.accept()
        server.close()
        self.far.setblocking(False)
        if early:
            self.far.send(early)
        if hang_up:
            self.far.close()
        self.frames = []
        self.errors = []
        self.on_frame = self.frames.append
        self.stream = Stream(ioloop.IOLoop.current(), iostream.IOStream(near), self.readable, self.errors.append)

    def readable(self):
        for frame in self.stream.receive():
            self.on_frame(frame)

    @gen.coroutine
    def read(self, count):
        """So many bytes at the other end."""
        data = bytearray()
        while len(data) < count:
            try:
                data += self.far.recv(1 << 20)
            except EnvironmentError:
                yield gen.sleep(0.001)
        raise gen.Return(bytes(data))

    def close(self):
        unwritten = self.stream.close()
        self.far.close()
        return unwritten


def with_pair(**options):
    """Runs a test's generator with a `Pair`."""
    def decorate(function):
        def test():
            @gen.coroutine
            def body():
                pair = Pair(**options)
                yield gen.coroutine(function)(pair)
                pair.close()
            loop.run(body)
        return test
    return decorate


def framed(body):
    return struct.pack(">i", len(body)) + body


@with_pair()
def test_what_the_socket_does_not_take_at_once_goes_in_its_order(pair):
    sent = [bytes(bytearray([65 + i])) * (16 << 20) for i in range(3)]
    futures = [concurrent.Future() for _ in sent]
    for data, future in zip(sent, futures):
        pair.stream.write(data, future)
    assert not futures[-1].done()
    assert (yield pair.read(48 << 20)) == b"".join(sent)
    yield loop.within(1, gen.multi(futures))
    small = concurrent.Future()
    pair.stream.write(b"small", small)
    assert small.done()
    assert pair.close() == []


@with_pair()
def test_closing_gives_the_futures_of_what_was_not_written(pair):
    future, silent = concurrent.Future(), b"x" * (48 << 20)
    pair.stream.write(silent)
    pair.stream.write(b"more", future)
    assert pair.close() == [future] and pair.stream.closed()
    assert pair.errors == []


@with_pair()
def test_a_large_frame(pair):
    body = bytes(bytearray(i & 0xff for i in range(251))) * 40000
    data = memoryview(framed(body) + framed(b"next"))
    while data:
        try:
            data = data[pair.far.send(data):]
        except EnvironmentError:
            yield gen.sleep(0.001)
    yield loop.until(lambda: len(pair.frames) == 2)
    assert pair.frames == [body, b"next"]


@with_pair()
def test_frames_that_come_together_with_the_end(pair):
    pair.far.send(framed(b"some") + framed(b"more") + b"\0\0")
    pair.far.close()
    yield loop.until(lambda: pair.errors)
    assert pair.frames == [b"some", b"more"]
    assert isinstance(pair.errors[0], iostream.StreamClosedError)
    yield gen.sleep(0.01)


@with_pair()
def test_nothing_is_given_after_close(pair):
    def close(frame):
        pair.frames.append(frame)
        pair.close()

    pair.on_frame = close
    pair.far.send(framed(b"some") + framed(b"more"))
    yield loop.until(lambda: pair.frames)
    yield gen.sleep(0.01)
    assert pair.frames == [b"some"] and pair.errors == []


@with_pair(early=framed(b"hello"))
def test_who_speaks_first_is_heard(pair):
    yield loop.until(lambda: pair.frames)
    pair.far.send(framed(b"more"))
    yield loop.until(lambda: len(pair.frames) == 2)
    assert pair.frames == [b"hello", b"more"]


@with_pair(early=framed(b"goodbye"), hang_up=True)
def test_who_speaks_first_and_hangs_up(pair):
    yield loop.until(lambda: pair.errors)
    assert pair.frames == [b"goodbye"]
    assert isinstance(pair.errors[0], EnvironmentError)


def test_one_whose_loop_was_closed_is_closed_without_a_word():
    pairs = []
    own = ioloop.IOLoop(make_current=False)
    own.run_sync(lambda: gen.maybe_future(pairs.append(Pair())))
    loop.close(own)
    assert pairs[0].close() == []
    assert pairs[0].stream.closed()

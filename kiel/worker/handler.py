"""The application's handler, whatever kind of function it is, and whatever it does."""
from __future__ import absolute_import

import inspect
import logging

from tornado import concurrent, gen

from kiel import events
from kiel.callbacks import callback_failure
from kiel.clients.consuming import deserializing
from kiel.worker.errors import HandlerTimeoutError
from kiel.worker.guard import Guarded, guarded

try:
    from asyncio import Task
except ImportError:  # Python 2
    Task = ()

log = logging.getLogger(__name__)

#: seconds that a handler whose time is over, and that was cancelled, may take to end
GRACE = 1.0


class Attempt(object):
    """
    One call of a handler for one message.

    :param job: the `kiel.worker.job.Job`
    :param ended: called once, with ``(job, error or None, final)``: what the handler ended with, and whether trying
        again is of no use
    """

    def __init__(self, job, ended):
        self.job = job
        #: the Future of a handler that has not ended; None for none
        self.future = None
        #: the timer of its time-out
        self.timer = None
        #: whether its time was over
        self.late = False
        self._ended = ended

    def cancel(self):
        """End the handler, where that can be done."""
        return isinstance(self.future, Task) and self.future.cancel()

    def end(self, error=None, final=False, outputs=None):
        """It ended, with what is to be produced; what comes after that is of no interest any more."""
        ended, self._ended = self._ended, None
        if ended is not None:
            self.job.outputs = outputs
            ended(self.job, error, final)


class Handler(object):
    """
    Calls the application's function.

    :param function: takes a `kiel.clients.Record`; a plain function, or one that returns something to wait for
    :param executor: has ``submit``, as `concurrent.futures.Executor`; None: the function is called on the IOLoop
    :param timeout: seconds for one attempt; None for no end
    :param deserializer: function without arguments that returns what makes a message of a value
    :param outputs: called with what the function gave, if that is not None; returns what is to be produced, or a Future
        of that. What it raises is the message's failure.
    """

    def __init__(self, function, executor, timeout, deserializer, outputs):
        self.function = function if executor is not None else guarded(function)
        self.executor = executor
        self.timeout = timeout
        self._deserializer = deserializer
        self._outputs = outputs

    def call(self, job, io_loop, ended):
        """Have a message worked on; ``ended`` is called within this call already where the handler is done at once."""
        attempt = job.attempt = Attempt(job, ended)
        raw = job.record
        try:
            deserializer = self._deserializer()
            value = raw.value if deserializer is bytes else deserializing.read(deserializer, raw)
            if deserializing.waits(value):
                future = events.outcome_of(value)
                if not future.done():
                    return io_loop.add_future(future, lambda _: self._deserialized(attempt, raw, future, io_loop))
                value = future.result()
        except BaseException as error:
            return self._unreadable(attempt, error)
        self._begin(attempt, raw if deserializer is bytes else deserializing.with_value(raw, value), io_loop)

    def _deserialized(self, attempt, raw, future, io_loop):
        """What the deserializer waited for is there."""
        if not attempt.job.busy:
            return attempt.end()  # the message is another member's by now
        try:
            value = future.result()
        except BaseException as error:
            return self._unreadable(attempt, error)
        self._begin(attempt, deserializing.with_value(raw, value), io_loop)

    @staticmethod
    def _unreadable(attempt, error):
        """The message does not deserialise: for good, unless the error says otherwise."""
        error = callback_failure(error)
        attempt.end(error, final=not (getattr(error, "retriable", False) or deserializing.stays(error)))

    def _begin(self, attempt, record, io_loop):
        """Call the function with a record whose value is deserialised."""
        try:
            future = self._submit(record, io_loop) if self.executor is not None else self._call(record)
        except BaseException as error:
            return attempt.end(callback_failure(error))
        if future is None:
            return attempt.end()
        if future.done():
            return self._end(attempt, future, io_loop)
        attempt.future = future
        if self.timeout is not None:
            attempt.timer = io_loop.call_later(self.timeout, self._overdue, attempt, io_loop)
        io_loop.add_future(future, lambda _: self._done(attempt, io_loop))

    def _call(self, record):
        """Call the function on the loop. Return a Future, or None where it is done."""
        result = self.function(record)
        if result is None:
            return None
        if inspect.isgenerator(result) and not _awaitable(result):
            result.close()
            raise TypeError("the handler returned a generator, nothing of which has run: decorate it with "
                            "tornado.gen.coroutine, or make it an async def")
        return events.outcome_of(Guarded(result) if _native(result) else result)

    def _submit(self, record, io_loop):
        """Have the function called in another thread or process. Return a Future."""
        done = concurrent.Future()
        self.executor.submit(self.function, record).add_done_callback(
            lambda future: events.call_on_loop(io_loop, take_over, future, done))
        return done

    def _done(self, attempt, io_loop):
        """The handler has ended."""
        if attempt.timer is not None:
            io_loop.remove_timeout(attempt.timer)
        self._end(attempt, attempt.future, io_loop)

    def _end(self, attempt, future, io_loop):
        """A call is done. Where it ended well, see to what is to be produced."""
        try:
            result = future.result()
            outputs = None if result is None or attempt.late else self._outputs(result)
        except BaseException as error:
            return attempt.end(self._too_late() if attempt.late else callback_failure(error))
        if attempt.late:
            attempt.end(self._too_late())
        elif deserializing.waits(outputs):
            io_loop.add_future(outputs, lambda _: self._made(attempt, outputs))
        else:
            attempt.end(outputs=outputs)

    @staticmethod
    def _made(attempt, outputs):
        """What a serializer waited for is there."""
        try:
            found = outputs.result()
        except BaseException as error:
            return attempt.end(callback_failure(error))
        attempt.end(outputs=found)

    def _too_late(self):
        return HandlerTimeoutError("the handler took longer than %g s" % self.timeout)

    def _overdue(self, attempt, io_loop):
        """An attempt's time is over: end the handler where that can be done."""
        attempt.late, attempt.timer = True, None
        if attempt.cancel():
            attempt.timer = io_loop.call_later(GRACE, self._abandon, attempt)
        else:
            self._abandon(attempt)

    def _abandon(self, attempt):
        """A handler goes on though its time is over: only what a native coroutine does can be ended."""
        attempt.timer = None
        job = attempt.job
        log.warning("The handler of message %s:%s at %s still runs after its time-out of %g s; it now runs alongside "
                    "those of later messages", job.part.topic, job.part.partition, job.offset, self.timeout)
        attempt.end(self._too_late())


def take_over(future, done):
    """Resolve a Future of the loop as one of an executor's."""
    try:
        events.settle(done, future.result())
    except BaseException as error:
        events.settle(done, error=callback_failure(error))


def refuse_wrong(function, executor):
    """
    Refuse what can't be a handler.

    :raises TypeError: which says why
    """
    if not callable(function):
        raise TypeError("handler has to be a function of a record, not %r" % (function,))
    call = getattr(function, "__call__", None)
    for one in (function, call):
        if inspect.isgeneratorfunction(one) and not gen.is_coroutine_function(one):
            raise TypeError("handler is a plain generator, nothing of which would run: decorate it with "
                            "tornado.gen.coroutine")
    if executor is None:
        return
    if not callable(getattr(executor, "submit", None)):
        raise TypeError("executor has to be a concurrent.futures.Executor, not %r" % (executor,))
    native = getattr(inspect, "iscoroutinefunction", lambda one: False)
    for one in (function, call):
        if gen.is_coroutine_function(one) or native(one):
            raise TypeError("an executor runs plain functions; the handler is a coroutine, which runs on the IOLoop")


def _awaitable(value):
    """Return whether a generator is one that may be awaited."""
    return getattr(inspect, "isawaitable", lambda one: False)(value)


#: whether a value is what calling an ``async def`` returns
_native = getattr(inspect, "iscoroutine", lambda value: False)

"""The end of a process in good order: from a signal to everything closed, within a deadline."""
from __future__ import absolute_import

import logging
import signal

from tornado import concurrent, gen, ioloop

from kiel import arguments, events
from kiel.callbacks import callback_failure
from kiel.retry import monotonic

log = logging.getLogger(__name__)

#: the signals that end a process, where nothing else is said
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class GracefulStop(object):
    """
    Waits for SIGTERM or SIGINT, and then ends what runs, step by step, within a deadline.

    ::

        stop = GracefulStop(seconds=25)
        stop.watch(worker.run())
        stop.then(server.stop, lambda: worker.drain(20), producer.close)
        yield stop.wait()

    It takes the signals from where it is made, which has to be the main thread, on the IOLoop that is to be told. A
    second signal does what it did before: it ends the process at once.

    :param seconds: from the signal on, for all steps together; less than what the one who stops the process waits
        before it kills (Kubernetes: 30)
    :param signals: numbers of signals; an empty list for none: then `request` is what sets it off
    :raises ValueError: in another thread than the main one
    """

    def __init__(self, seconds=25, signals=SIGNALS):
        self.seconds = arguments.seconds("seconds", seconds)
        #: done when the end was asked for
        self.requested = concurrent.Future()
        self._loop = ioloop.IOLoop.current()
        self._steps = []
        self._watched = []
        #: signal -> what was done upon it before
        self._before = {}
        for number in signals:
            self._before[number] = signal.getsignal(number)
            self._take(number)

    def then(self, *steps):
        """
        Add steps, which are called in their order, each when the one before is done.

        :param steps: functions without arguments; they may return something to wait for. What they raise is logged.
        """
        for step in steps:
            if not callable(step):
                raise TypeError("a step has to be a function without arguments, not %r" % (step,))
        self._steps.extend(steps)

    def watch(self, future):
        """
        Have what runs all the time end the process, too: when the Future is done, the end is asked for.

        `wait` raises what it failed with. Return the Future.
        """
        future = events.outcome_of(future)
        self._watched.append(future)
        self._loop.add_future(future, lambda _: self.request("what it runs has ended"))
        return future

    def request(self, why="it was told to"):
        """Ask for the end; may be called any number of times."""
        if events.settle(self.requested):
            log.info("The process ends: %s", why)

    @gen.coroutine
    def wait(self):
        """
        Wait until the end is asked for, and take all steps. Return whether all were done in time and without an error.

        A step that is not done at the deadline is left alone; those after it are called, and not waited for.

        :raises Exception: what a Future failed with that is watched
        """
        yield events.finished(self.requested)
        deadline = monotonic() + self.seconds
        well = True
        try:
            for step in self._steps:
                well = (yield self._do(step, deadline)) and well
        finally:
            self.release()
        for future in self._watched:
            if future.done():
                future.result()
        raise gen.Return(well)

    @gen.coroutine
    def _do(self, step, deadline):
        """Take one step. Return whether it was done."""
        name = getattr(step, "__name__", None) or repr(step)
        try:
            future = events.outcome_of(step())
        except BaseException as error:
            self._failed(name, callback_failure(error))
            raise gen.Return(False)
        over = concurrent.Future()
        timer = self._loop.call_later(max(0.0, deadline - monotonic()), events.settle, over)
        yield events.first(future, over)
        self._loop.remove_timeout(timer)
        if not future.done():
            events.ignore(future)
            log.error("%s did not finish within the %g s; the process ends without it", name, self.seconds)
            raise gen.Return(False)
        try:
            future.result()
        except BaseException as error:
            self._failed(name, callback_failure(error))
            raise gen.Return(False)
        raise gen.Return(True)

    @staticmethod
    def _failed(name, error):
        log.error("%s failed; the shutdown continues", name, exc_info=(
            type(error), error, getattr(error, "__traceback__", None)))

    # -- signals --

    def _take(self, number):
        """Have a signal ask for the end."""
        asyncio_loop = getattr(self._loop, "asyncio_loop", None)
        if hasattr(asyncio_loop, "add_signal_handler"):
            try:
                asyncio_loop.add_signal_handler(number, self._signalled, number)
                return
            except NotImplementedError:  # Windows
                pass
        signal.signal(number, lambda *_: self._loop.add_callback_from_signal(self._signalled, number))

    def _signalled(self, number):
        """A signal came: the next one does what it did before."""
        self.release()
        self.request("signal %d" % number)

    def release(self):
        """Give the signals back; done by the first one, and at the end of `wait`."""
        asyncio_loop = getattr(self._loop, "asyncio_loop", None)
        before, self._before = self._before, {}
        for number, handler in before.items():
            if hasattr(asyncio_loop, "remove_signal_handler") and not asyncio_loop.is_closed():
                try:
                    asyncio_loop.remove_signal_handler(number)
                except NotImplementedError:
                    pass
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

"""
The command ``kiel``, also ``python -m kiel``: a cluster looked at and changed from a terminal, messages in and out.

Each kind of commands is a module of `kiel.commands`, a thin layer over the clients.
"""
from __future__ import absolute_import, print_function

import argparse
import errno
import logging
import os
import platform
import sys

import tornado
from tornado import gen, ioloop

import kiel
from kiel import compression, exc, speedups
from kiel.clients.admin import Admin
from kiel.commands import (
    acls, bench, cluster, completion, configs, connecting, consume, groups, move_offsets, produce, topics, transactions,
    users
)
from kiel.commands.showing import DONE, FAILED, INTERRUPTED, MISUSED, CommandError, NotThere, complain
from kiel.events import first, ignore
from kiel.service.stop import GracefulStop

log = logging.getLogger(__name__)

#: the kinds of commands, in the order in which the help tells them
KINDS = (topics, produce, consume, groups, configs, cluster, acls, users, transactions, bench, move_offsets)


#: options whose value may begin with an equals sign: argparse takes that of ``-K=`` for a sign of its own
DELIMITERS = ("-K=", "-D=")


def shared_options():
    """Return the parser of the options that all commands have."""
    shared = argparse.ArgumentParser(add_help=False)
    connecting.add_options(shared)
    return shared


def parser(shared):
    """Return the `argparse.ArgumentParser` of the whole command."""
    top = argparse.ArgumentParser(prog="kiel", description="Kafka from a terminal.")
    top.add_argument("--version", action=Version, nargs=0,
                     help="print the versions of kiel and of what it runs on, the codecs and the speedups, and exit")
    kinds = top.add_subparsers(dest="kind", metavar="COMMAND")
    for module in KINDS:
        module.add(kinds, shared)
    return top


class Version(argparse.Action):
    """``--version``: what a report of a defect should begin with."""

    def __call__(self, parser, namespace, values, option_string=None):
        print(versions())
        parser.exit()


def versions():
    """Return what runs here, a line each: kiel, Python, Tornado, the codecs, the speedups."""
    codecs = [codec.name for _, codec in sorted(compression.codecs.items()) if codec.available]
    return "\n".join((
        "kiel %s" % kiel.__version__,
        "%s %s" % (platform.python_implementation().replace("CPython", "Python"), platform.python_version()),
        "Tornado %s" % tornado.version,
        "codecs: %s" % ", ".join(codecs),
        "speedups: %s" % speedups.describe(),
    ))


def main(argv=None, out=None):
    """
    Run the command line; return the exit code.

    :param argv: the arguments; default: the process's
    :param out: where the answer goes; default: standard output
    """
    shared = shared_options()
    top = parser(shared)
    completion.complete(top, shared)
    args = top.parse_args(_taken_apart(sys.argv[1:] if argv is None else argv))
    if getattr(args, "run", None) is None:
        top.error("say what to do: %s" % (getattr(args, "needs", None) or "kiel --help tells what there is"))
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, stream=sys.stderr,
                        format="%(levelname)s %(name)s: %(message)s")
    out = out or sys.stdout
    try:
        args.found = connecting.take_in(args)
        made = connecting.settings(args, args.found)
        code = _on_loop(args, made, out)
        out.flush()
        return code
    except (CommandError, argparse.ArgumentTypeError, TypeError, ValueError) as error:
        log.info("What is wrong:", exc_info=True)
        complain(error)
        return MISUSED
    except (NotThere, exc.KielError) as error:
        complain(error)
        return FAILED
    except EnvironmentError as error:
        return _failed_output(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _taken_apart(argv):
    """Return the arguments with delimiters of their own: ``-K=`` is written so for kcat."""
    found = []
    for text in argv:
        found += [text[:2], text[2:]] if text.startswith(DELIMITERS) else [text]
    return found


def _on_loop(args, made, out):
    """Run the command on a loop of its own, on which Ctrl-C and SIGTERM end it in good order; a second one at once."""
    loop = ioloop.IOLoop(make_current=False)
    stops = []

    def run():
        stops.append(GracefulStop())
        args.stopped = stops[0].requested
        return _run(args, made, out)
    try:
        return loop.run_sync(run)
    finally:
        for stop in stops:
            stop.release()
        loop.close()


def _failed_output(error):
    """Return the exit code where nothing more can be written, or read."""
    if error.errno == errno.EPIPE:
        _drop_output()  # whoever read has all that he wanted, as in `kiel consume t | head`
        return DONE
    complain(error)
    _drop_output()
    return FAILED


def _drop_output():
    """Have Python not try, and complain, again at its end."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (EnvironmentError, ValueError, AttributeError):
        pass


@gen.coroutine
def _run(args, made, out):
    """Connect, run one command, and close."""
    if getattr(args, "connects", False):  # its clients are not an Admin, and end in a way of their own
        code = yield args.run(made, args, out)
        raise gen.Return(code or DONE)
    if hasattr(args, "zookeeper_offsets"):
        made["zookeeper_offsets"] = args.zookeeper_offsets
    admin = Admin(args.brokers, **made)
    running = ignore(_ask(admin, args, out))
    try:
        yield first(running, args.stopped)
        if not running.done():
            raise gen.Return(INTERRUPTED)
    finally:
        yield admin.close()
    code = yield running
    raise gen.Return(code or DONE)


@gen.coroutine
def _ask(admin, args, out):
    yield admin.connect()
    code = yield args.run(admin, args, out)
    raise gen.Return(code)

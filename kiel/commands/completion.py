"""
Completion in a shell by `argcomplete` (``kiel[command]``): words, options, and names of topics and groups.

The shell runs the command with ``_ARGCOMPLETE`` set for each press of the key.
"""
from __future__ import absolute_import

import argparse
import os

from tornado import gen, ioloop

from kiel.clients.admin import Admin
from kiel.commands import connecting

#: seconds for the brokers to say which names there are
PATIENCE = 2


def complete(parser, shared, **options):
    """
    Answer the shell and end the process, where it is the shell that asks; else return.

    :param shared: the parser of the options that all commands have
    :param options: for ``argcomplete.autocomplete``
    """
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:
        return
    names = {"topic": Names(shared, topics), "group": Names(shared, groups)}
    for action in _actions(parser):
        if action.dest in names and action.choices is None:
            action.completer = names[action.dest]
    argcomplete.autocomplete(parser, **options)


def _actions(parser):
    """Return all actions of a parser and of those below it."""
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for below in set(action.choices.values()):
                found.extend(_actions(below))
    return found


@gen.coroutine
def topics(admin):
    """Return the names of all topics."""
    raise gen.Return([each.name for each in (yield admin.list_topics())])


@gen.coroutine
def groups(admin):
    """Return the names of all groups."""
    raise gen.Return([each.group for each in (yield admin.list_groups())])


class Names(object):
    """
    Asks the brokers for names; there are none where they can't be asked without a question to the user.

    :param shared: the parser of the options that all commands have
    :param ask: a coroutine function of an `Admin` that returns names
    """

    def __init__(self, shared, ask):
        self.shared = shared
        self.ask = ask

    def __call__(self, prefix, parsed_args, **_):
        """Return the names that begin with what is typed."""
        args = self.shared.parse_args([])
        vars(args).update((name, value) for name, value in vars(parsed_args).items() if value is not None)
        args.timeout, args.may_ask = PATIENCE, False
        try:
            made = connecting.settings(args, connecting.take_in(args))
            names = ioloop.IOLoop(make_current=False).run_sync(lambda: self._asked(args, made), timeout=2 * PATIENCE)
        except Exception:  # whatever it is: a line that is being typed is no place to say it
            return []
        return [name for name in names if name.startswith(prefix)]

    @gen.coroutine
    def _asked(self, args, made):
        admin = Admin(args.brokers, **made)
        try:
            yield admin.connect()
            names = yield self.ask(admin)
        finally:
            yield admin.close()
        raise gen.Return(names)


__all__ = ["Names", "complete", "groups", "topics"]

"""
``python -m kiel groups ...``: groups seen, deleted and reset from a terminal.

A thin layer over `kiel.clients.admin.Admin`. Exit codes: 0 done, 1 refused or failed, 2 wrongly called.
"""
from __future__ import absolute_import, print_function

import argparse
import datetime
import functools
import io
import json
import logging
import os
import platform
import ssl
import sys

import six
import tornado
from tornado import gen, ioloop

import kiel
from kiel import compression, exc, sasl, speedups
from kiel.clients.admin import Admin
from kiel.clients.consuming.offset_lookup import BEGINNING, END
from kiel.clients.grouping.group_view import DEAD
from kiel.retry import Backoff

#: forms of a time on the command line, UTC
TIMES = ("%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d")

#: the columns of tables that are numbers
NUMBERS = ("partition", "offset", "committed", "end", "lag", "before", "after", "epoch")

#: exit codes
DONE, FAILED, MISUSED = 0, 1, 2


class CommandError(Exception):
    """What was asked for can't be: the text says why."""


# -- the line --

def parser():
    """Return the `argparse.ArgumentParser` of the whole command."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--brokers", required=True, metavar="HOST:PORT[,...]", help="bootstrap hosts")
    shared.add_argument("--json", action="store_true", help="JSON instead of tables")
    shared.add_argument("--timeout", type=float, default=30, metavar="S", help="seconds to try (default %(default)g)")
    shared.add_argument("--zookeeper-offsets", action="store_true",
                        help="offsets that kiel keeps in ZooKeeper count too; the higher of both")
    shared.add_argument("--verbose", action="store_true", help="say what goes on, on standard error")
    secure = shared.add_argument_group("security")
    secure.add_argument("--tls", action="store_true", help="TLS, with the system's authorities")
    secure.add_argument("--ca-file", metavar="FILE", help="TLS with these authorities (PEM)")
    secure.add_argument("--cert", metavar="FILE", help="the client's certificate (PEM)")
    secure.add_argument("--key", metavar="FILE", help="its key (PEM)")
    secure.add_argument("--sasl", choices=sorted(sasl.mechanisms), help="log in by this mechanism")
    secure.add_argument("--user", help="the name to log in with")
    secure.add_argument("--password-env", metavar="NAME", help="the environment variable that has the password")
    secure.add_argument("--password-file", metavar="FILE", help="the file whose first line is the password")

    top = argparse.ArgumentParser(prog="python -m kiel", description="A look at Kafka with kiel.")
    top.add_argument("--version", action=Version, nargs=0,
                     help="print the versions of kiel and of what it runs on, the codecs and the speedups, and exit")
    kinds = top.add_subparsers(dest="kind", metavar="groups")
    groups = kinds.add_parser("groups", help="consumer groups")
    commands = groups.add_subparsers(dest="command", metavar="COMMAND")

    listing = commands.add_parser("list", parents=[shared], help="the groups that there are")
    listing.add_argument("--state", action="append", help="only groups in this state; may be given several times")
    listing.add_argument("--type", action="append", help="only classic or consumer ones; may be given several times")

    describe = commands.add_parser("describe", parents=[shared], help="state and members of groups")
    describe.add_argument("group", nargs="+")

    for name, text in (("offsets", "what a group has committed"), ("lag", "how far a group is behind, and who reads")):
        command = commands.add_parser(name, parents=[shared], help=text)
        command.add_argument("group")
        command.add_argument("--topic", action="append", help="only this one; may be given several times")

    delete = commands.add_parser("delete", parents=[shared], help="delete groups, or offsets of some partitions only")
    delete.add_argument("group", nargs="+")
    delete.add_argument("--offset", action="append", metavar="TOPIC:PARTITION",
                        help="forget this partition's offset instead; may be given several times")

    reset = commands.add_parser("reset", parents=[shared], help="set where a group without live members goes on")
    reset.add_argument("group")
    where = reset.add_mutually_exclusive_group(required=True)
    where.add_argument("--to-beginning", action="store_true", help="to the first message there is")
    where.add_argument("--to-end", action="store_true", help="after the last message there is")
    where.add_argument("--to-time", metavar="TIME", type=moment,
                       help="to the first message since then: milliseconds since 1970 or UTC as 2026-01-31T12:00")
    where.add_argument("--to-offset", action="append", metavar="TOPIC:PARTITION=OFFSET", type=explicit,
                       help="one partition to this offset; may be given several times")
    reset.add_argument("--topic", action="append",
                       help="may be given several times; default: those that the group has offsets in")
    reset.add_argument("--execute", action="store_true", help="do it; without, only tell what would be done")
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


def moment(text):
    """Return milliseconds since 1970, or a datetime, of a time on the command line."""
    if text.isdigit():
        return int(text)
    for form in TIMES:
        try:
            return datetime.datetime.strptime(text.rstrip("Z"), form)
        except ValueError:
            pass
    raise argparse.ArgumentTypeError("a time is milliseconds since 1970 or UTC as 2026-01-31T12:00, not %r" % text)


def partition_of(text):
    """Return ``(topic, partition)`` of "topic:partition"."""
    topic, _, partition = text.rpartition(":")
    if not topic or not partition.isdigit():
        raise argparse.ArgumentTypeError("expected TOPIC:PARTITION, not %r" % text)
    return topic, int(partition)


def explicit(text):
    """Return ``((topic, partition), offset)`` of "topic:partition=offset"."""
    where, _, offset = text.rpartition("=")
    if not offset.isdigit():
        raise argparse.ArgumentTypeError("expected TOPIC:PARTITION=OFFSET, not %r" % text)
    return partition_of(where), int(offset)


def settings(args):
    """
    Return the keyword arguments of the client.

    :raises CommandError: when options do not go together or a file can't be read
    """
    made = dict(zookeeper_offsets=args.zookeeper_offsets, retry=Backoff(deadline=args.timeout),
                connect_timeout=min(10, args.timeout), request_timeout=args.timeout)
    if args.tls or args.ca_file or args.cert:
        made["ssl"] = tls_context(args)
    if args.sasl is not None:
        made["sasl"] = mechanism(args)
    elif args.user or args.password_env or args.password_file:
        raise CommandError("--user and a password need --sasl")
    return made


def tls_context(args):
    """
    Return the `ssl.SSLContext` that the options ask for.

    :raises CommandError: when a file can't be read
    """
    try:
        context = ssl.create_default_context(cafile=args.ca_file)
        if args.cert:
            context.load_cert_chain(args.cert, args.key)
    except (EnvironmentError, ssl.SSLError) as error:
        raise CommandError("the TLS files can't be read: %s" % error)
    return context


def mechanism(args):
    """
    Return the `kiel.sasl` mechanism that the options ask for.

    :raises CommandError: when user or password are missing
    """
    if not args.user or bool(args.password_env) == bool(args.password_file):
        raise CommandError("--sasl needs --user, and --password-env or --password-file")
    more = () if args.sasl == "PLAIN" else (args.sasl,)
    return sasl.mechanisms[args.sasl](args.user, password(args), *more)


def password(args):
    """
    Read the password; it is shown nowhere.

    :raises CommandError: when it is not there
    """
    if args.password_env:
        if args.password_env not in os.environ:
            raise CommandError("the environment has no %s" % args.password_env)
        return os.environ[args.password_env]
    try:
        with io.open(args.password_file, encoding="utf-8") as source:
            return source.readline().rstrip("\r\n")
    except EnvironmentError as error:
        raise CommandError("the password can't be read: %s" % error)


def main(argv=None, out=None):
    """
    Run the command line; return the exit code.

    :param argv: the arguments; default: the process's
    :param out: where the answer goes; default: standard output
    """
    top = parser()
    args = top.parse_args(argv)
    if getattr(args, "command", None) is None:
        top.error("say what to do: groups list, describe, offsets, lag, delete or reset")
    logging.basicConfig(level=logging.INFO if args.verbose else logging.CRITICAL, stream=sys.stderr,
                        format="%(levelname)s %(name)s: %(message)s")
    try:
        made = settings(args)
        loop = ioloop.IOLoop(make_current=False)
        try:
            return loop.run_sync(functools.partial(_run, args, made, out or sys.stdout))
        finally:
            loop.close()
    except (CommandError, argparse.ArgumentTypeError, ValueError) as error:
        print("kiel: %s" % error, file=sys.stderr)
        return MISUSED
    except exc.KielError as error:
        print("kiel: %s" % error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return 130


@gen.coroutine
def _run(args, made, out):
    """Connect, run one command, and close."""
    admin = Admin(args.brokers, **made)
    yield admin.connect()
    try:
        code = yield COMMANDS[args.command](admin, args, out)
    finally:
        yield admin.close()
    raise gen.Return(code or DONE)


# -- what can be asked for --

@gen.coroutine
def _list(admin, args, out):
    """groups list"""
    found = yield admin.list_groups(args.state, args.type)
    rows = [dict(group=each.group, type=each.type, state=each.state, protocol_type=each.protocol_type)
            for each in found]
    _show(args, out, rows, ("group", "type", "state", "protocol_type"), "No groups.")


@gen.coroutine
def _describe(admin, args, out):
    """groups describe"""
    described = yield admin.describe_groups(args.group)
    groups = []
    for name in args.group:
        group = described[name]
        groups.append(dict(group._asdict(), members=[dict(member._asdict()) for member in group.members]))
    if args.json:
        _write_json(out, groups)
    else:
        for number, group in enumerate(groups):
            if number:
                print("", file=out)
            _show_group(out, group)
    raise gen.Return(FAILED if any(group["state"] == DEAD for group in groups) else DONE)


def _show_group(out, group):
    """Write a group and a table of its members; columns in which nobody has anything are left out."""
    print("Group %s: %s" % (group["group"], _words(group)), file=out)
    rows = [dict(
        member, assignment=_assignment(member["assignment"]), topics=",".join(member["topics"])
    ) for member in group["members"]]
    columns = ("client_id", "host", "member_id", "instance_id", "type", "epoch", "topics", "assignment")
    always = ("client_id", "host", "assignment")
    filled = [column for column in columns if column in always or any(row[column] for row in rows)]
    _table(out, rows, filled, "No members.")


def _words(group):
    """A group's own properties as text."""
    if group["state"] == DEAD:
        return "not there"
    words = [group["state"], group["type"] or ""]
    if group["assignor"]:
        words.append("assignor %s" % group["assignor"])
    if group["epoch"] is not None:
        words.append("epoch %d" % group["epoch"])
    words.append("coordinator %d" % group["coordinator"])
    return ", ".join(word for word in words if word)


def _assignment(topics):
    """``{"t": [0, 1]}`` as "t:0,1"."""
    return " ".join("%s:%s" % (topic, ",".join(str(each) for each in topics[topic])) for topic in sorted(topics))


@gen.coroutine
def _offsets(admin, args, out):
    """groups offsets"""
    found = yield admin.committed_offsets(args.group, args.topic)
    rows = [dict(topic=key[0], partition=key[1], offset=found[key]) for key in sorted(found)]
    _show(args, out, rows, ("topic", "partition", "offset"), "Group %s has no offsets." % args.group)


@gen.coroutine
def _lag(admin, args, out):
    """groups lag"""
    found = yield admin.lag(args.group, args.topic)
    rows = []
    for key in sorted(found):
        lag = found[key]
        rows.append(dict(
            topic=key[0], partition=key[1], committed=lag.committed, end=lag.end, lag=lag.lag,
            client_id=lag.member and lag.member.client_id, host=lag.member and lag.member.host,
            member_id=lag.member and lag.member.member_id, error=lag.error and str(lag.error)
        ))
    columns = ["topic", "partition", "committed", "end", "lag", "client_id", "host", "member_id"]
    if any(row["error"] for row in rows):
        columns.append("error")
    _show(args, out, rows, columns, "Group %s has no offsets and no members." % args.group)


@gen.coroutine
def _delete(admin, args, out):
    """groups delete"""
    partitions = [partition_of(text) for text in args.offset or ()]
    rows = []
    for group in args.group:
        rows.append((yield _deleted(admin, group, partitions)))
    refused = [row for row in rows if not row["deleted"]]
    for row in refused:
        print("kiel: %s was not deleted: %s" % (row["group"], row["error"]), file=sys.stderr)
    if args.json:
        _write_json(out, rows)
    else:
        what = "Deleted offsets of %s." if partitions else "Deleted %s."
        for row in rows:
            if row["deleted"]:
                print(what % row["group"], file=out)
    raise gen.Return(FAILED if refused else DONE)


@gen.coroutine
def _deleted(admin, group, partitions):
    """Delete a group, or what it has committed in some partitions; return the row that tells what came of it."""
    error = None
    try:
        yield admin.delete_offsets(group, partitions) if partitions else admin.delete_group(group)
    except exc.KielError as caught:
        error = str(caught) or type(caught).__name__
    raise gen.Return(dict(group=group, deleted=error is None, error=error))


@gen.coroutine
def _reset(admin, args, out):
    """groups reset"""
    if args.to_offset and args.topic:
        raise CommandError("--to-offset names its topics itself; leave --topic away")
    to = BEGINNING if args.to_beginning else END if args.to_end else args.to_time
    if args.to_offset:
        to = dict(args.to_offset)
    found = yield admin.reset_offsets(args.group, to, args.topic, dry_run=not args.execute)
    rows = [dict(topic=key[0], partition=key[1], before=found[key].before, after=found[key].after,
                 done=args.execute) for key in sorted(found)]
    _show(args, out, rows, ("topic", "partition", "before", "after"), "Group %s has no offsets; name a topic with "
          "--topic." % args.group)
    if rows and not args.execute:
        print("Nothing was changed; with --execute it is.", file=sys.stderr)


#: the word on the command line -> what it does
COMMANDS = {
    "list": _list, "describe": _describe, "offsets": _offsets, "lag": _lag, "delete": _delete, "reset": _reset
}


# -- showing --

def _show(args, out, rows, columns, nothing):
    """Show rows as JSON or as a table."""
    if args.json:
        _write_json(out, rows)
    else:
        _table(out, rows, columns, nothing)


def _write_json(out, value):
    """Write JSON, the same for the same value."""
    print(json.dumps(value, indent=2, sort_keys=True), file=out)


def _cell(value):
    return "-" if value in (None, "") else six.text_type(value)


def _table(out, rows, columns, nothing):
    """Write columns, `NUMBERS` to the right; "-" for what there is not."""
    if not rows:
        print(nothing, file=out)
        return
    cells = [[column.upper().replace("_", "-") for column in columns]]
    for row in rows:
        cells.append([_cell(row[column]) for column in columns])
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    right = [column in NUMBERS for column in columns]
    for line in cells:
        text = u"  ".join(
            cell.rjust(width) if number else cell.ljust(width) for cell, width, number in zip(line, widths, right)
        )
        print(six.ensure_str(text.rstrip()), file=out)

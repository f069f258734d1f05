"""``kiel groups``: groups seen, deleted and reset."""
from __future__ import absolute_import, print_function

import argparse
import sys

from tornado import gen

from kiel import exc
from kiel.clients.consuming.offset_lookup import BEGINNING, END
from kiel.clients.grouping.group_view import DEAD
from kiel.commands import line
from kiel.commands.showing import DONE, FAILED, CommandError, NotThere, complain, outcomes, say, show, table, write_json


def offsets_options():
    """Return a parser of the options that are about groups only."""
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--zookeeper-offsets", action="store_true",
                         help="also read the offsets that kiel keeps in ZooKeeper; the higher one counts")
    return options


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    groups = kinds.add_parser("groups", help="consumer groups")
    commands = groups.add_subparsers(dest="command", metavar="COMMAND")
    shared = [shared, offsets_options()]

    listing = commands.add_parser("list", parents=shared, help="list the groups")
    listing.add_argument("--state", action="append", help="only groups in this state; may be given several times")
    listing.add_argument("--type", action="append",
                         help="only groups of this type, classic or consumer; may be given several times")

    describe = commands.add_parser("describe", parents=shared, help="show the state and the members of groups")
    describe.add_argument("group", nargs="+")

    for name, text in (("offsets", "show the committed offsets of a group"),
                       ("lag", "show the lag of a group, and which member reads which partition")):
        command = commands.add_parser(name, parents=shared, help=text)
        command.add_argument("group")
        command.add_argument("--topic", action="append", help="only this topic; may be given several times")
        if name == "lag":
            command.add_argument("--watch", type=float, nargs="?", const=2.0, metavar="S",
                                 help="repeat every S seconds (default 2), and show how the total changes")

    delete = commands.add_parser("delete", parents=shared,
                                 help="delete groups, or only their offsets of some partitions")
    delete.add_argument("group", nargs="+")
    delete.add_argument("--offset", action="append", metavar="TOPIC:PARTITION",
                        help="delete only this partition's offset; may be given several times")

    reset = commands.add_parser("reset", parents=shared,
                                help="reset the committed offsets of a group without live members")
    reset.add_argument("group")
    where = reset.add_mutually_exclusive_group(required=True)
    where.add_argument("--to-beginning", action="store_true", help="to the first message of each partition")
    where.add_argument("--to-end", action="store_true", help="to the end of each partition")
    where.add_argument("--to-time", metavar="TIME", type=line.moment,
                       help="to the first message at or after this time: milliseconds since 1970, or UTC as "
                       "2026-01-31T12:00")
    where.add_argument("--to-offset", action="append", metavar="TOPIC:PARTITION=OFFSET", type=line.explicit,
                       help="this partition to this offset; may be given several times")
    reset.add_argument("--topic", action="append",
                       help="only this topic; may be given several times (default: all that the group has offsets in)")
    reset.add_argument("--create", action="store_true", help="create the group if it does not exist")
    reset.add_argument("--execute", action="store_true", help="do it; without this, only show what would be done")

    remove = commands.add_parser("remove-members", parents=shared, help="remove members from a group")
    remove.add_argument("group")
    remove.add_argument("--member", action="append", help="the member with this id; may be given several times")
    remove.add_argument("--instance", action="append",
                        help="the static member with this group.instance.id; may be given several times")
    remove.add_argument("--all", action="store_true", help="all members")
    for name, run in COMMANDS.items():
        commands.choices[name].set_defaults(run=run)
    groups.set_defaults(needs="groups list, describe, offsets, lag, delete, reset or remove-members")


@gen.coroutine
def _list(admin, args, out):
    """groups list"""
    found = yield admin.list_groups(args.state, args.type)
    rows = [dict(group=each.group, type=each.type, state=each.state, protocol_type=each.protocol_type)
            for each in found]
    show(args, out, rows, ("group", "type", "state", "protocol_type"), "No groups.")


@gen.coroutine
def _describe(admin, args, out):
    """groups describe"""
    described = yield admin.describe_groups(args.group)
    groups = []
    for name in args.group:
        group = described[name]
        groups.append(dict(group._asdict(), members=[dict(member._asdict()) for member in group.members]))
    if args.json:
        write_json(out, groups)
    else:
        for number, group in enumerate(groups):
            if number:
                print("", file=out)
            show_group(out, group)
    raise gen.Return(FAILED if any(group["state"] == DEAD for group in groups) else DONE)


def show_group(out, group):
    """Write a group and a table of its members; columns in which nobody has anything are left out."""
    print("Group %s: %s" % (group["group"], _words(group)), file=out)
    rows = [dict(
        member, assignment=_assignment(member["assignment"]), topics=",".join(member["topics"])
    ) for member in group["members"]]
    columns = ("client_id", "host", "member_id", "instance_id", "type", "epoch", "topics", "assignment")
    always = ("client_id", "host", "assignment")
    filled = [column for column in columns if column in always or any(row[column] for row in rows)]
    table(out, rows, filled, "No members.")


def _words(group):
    """Return a group's own properties as text."""
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
    if not found:
        yield refuse_gone(admin, args.group)
    rows = [dict(topic=key[0], partition=key[1], offset=found[key]) for key in sorted(found)]
    show(args, out, rows, ("topic", "partition", "offset"), "Group %s has no offsets." % args.group)


@gen.coroutine
def _lag(admin, args, out):
    """groups lag"""
    before = None
    while True:
        found = yield admin.lag(args.group, args.topic)
        if not found:
            yield refuse_gone(admin, args.group)
        total = sum(lag.lag or 0 for lag in found.values())
        _show_lag(args, out, found)
        if found and not args.json:
            change = "" if before is None else ", %+d in %g s" % (total - before, args.watch)
            say(out, "Total lag: %d in %d partitions%s" % (total, len(found), change))
        if args.watch is None:
            break
        before = total
        out.flush()
        yield gen.sleep(args.watch)


def _show_lag(args, out, found):
    """Write how far a group is behind, by partition."""
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
    show(args, out, rows, columns, "Group %s has no offsets and no members." % args.group)


@gen.coroutine
def refuse_gone(admin, group):
    """Raise `NotThere` for a group that has neither offsets nor members; brokers before 0.9 know no others."""
    try:
        gone = (yield admin.describe_groups([group]))[group].state == DEAD
    except exc.UnsupportedVersionError:
        gone = True
    if gone:
        raise NotThere("group %s is not there" % group)


@gen.coroutine
def _delete(admin, args, out):
    """groups delete"""
    partitions = [line.partition_of(text) for text in args.offset or ()]
    rows = []
    for group in args.group:
        rows.append((yield _deleted(admin, group, partitions)))
    what = "Deleted offsets of %s." if partitions else "Deleted %s."
    for row in rows:
        if not row["deleted"]:
            complain("%s was not deleted: %s" % (row["group"], row["error"]))
        elif not args.json:
            say(out, what % row["group"])
    if args.json:
        write_json(out, rows)
    raise gen.Return(DONE if all(row["deleted"] for row in rows) else FAILED)


@gen.coroutine
def _deleted(admin, group, partitions):
    """Delete a group, or what it has committed in some partitions; return the row that tells what came of it."""
    error = None
    try:
        yield admin.delete_offsets(group, partitions) if partitions else admin.delete_group(group)
    except exc.KielError as caught:
        error = str(caught) or type(caught).__name__
    raise gen.Return(dict(group=group, deleted=error is None, error=error))


def _target(args):
    """Return where a group goes on."""
    if args.to_offset:
        return dict(args.to_offset)
    return BEGINNING if args.to_beginning else END if args.to_end else args.to_time


@gen.coroutine
def _reset(admin, args, out):
    """groups reset"""
    if args.to_offset and args.topic:
        raise CommandError("--to-offset already names its topics: leave out --topic")
    if not args.create:
        known = yield admin.committed_offsets(args.group)
        if not known:
            yield refuse_gone(admin, args.group)
    found = yield admin.reset_offsets(args.group, _target(args), args.topic, dry_run=not args.execute)
    rows = [dict(topic=key[0], partition=key[1], before=found[key].before, after=found[key].after,
                 done=args.execute) for key in sorted(found)]
    show(args, out, rows, ("topic", "partition", "before", "after"),
         "Group %s has no offsets; name a topic with --topic." % args.group)
    if rows and not args.execute:
        print("Nothing was changed; with --execute it is.", file=sys.stderr)


@gen.coroutine
def _remove_members(admin, args, out):
    """groups remove-members"""
    if bool(args.all) == bool(args.member or args.instance):
        raise CommandError("say which members: --member, --instance, or --all")
    found = yield admin.remove_members(args.group, args.member, args.instance)
    code = outcomes(args, out, [(dict(member=name), found[name]) for name in sorted(found)],
                    lambda row: "Removed %s from %s." % (row["member"], args.group))
    raise gen.Return(code)


#: the word on the command line -> what it does
COMMANDS = {
    "list": _list, "describe": _describe, "offsets": _offsets, "lag": _lag, "delete": _delete, "reset": _reset,
    "remove-members": _remove_members,
}

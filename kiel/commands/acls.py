"""``kiel acls``: who may do what."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel import exc
from kiel.clients.administering.acls import OPERATIONS, PATTERNS, PERMISSIONS, RESOURCES, Filter, Rule
from kiel.commands.showing import DONE, FAILED, complain, outcomes, say, show, write_json

#: the columns of a rule
COLUMNS = ("resource", "name", "pattern", "principal", "host", "operation", "permission")


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    acls = kinds.add_parser("acls", help="access control lists: who may do what")
    commands = acls.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("list", "list ACLs"), ("create", "create an ACL"), ("delete", "delete ACLs")):
        command = commands.add_parser(name, parents=[shared], help=text)
        command.set_defaults(run=COMMANDS[name])
        making = name == "create"
        for option, words in (("resource", RESOURCES), ("operation", OPERATIONS), ("permission", PERMISSIONS),
                              ("pattern", PATTERNS)):
            chosen = [word for word in words.values() if not making or word not in ("any", "match")]
            usual = {"permission": "allow", "pattern": "literal"}.get(option) if making else "any"
            command.add_argument("--" + option, choices=chosen, default=usual, required=making and usual is None)
        command.add_argument("--name", required=making, help="the resource's name; * means all")
        command.add_argument("--principal", required=making, help="such as User:alice; User:* means everybody")
        command.add_argument("--host", default="*" if making else None, help="the client's address; * means all")
    commands.choices["delete"].add_argument(
        "--execute", action="store_true", help="do it; without this, only show what would be deleted")
    acls.set_defaults(needs="acls list, create or delete")


def _filter(args):
    return Filter(args.resource, args.name, args.principal, args.operation, args.permission, args.host, args.pattern)


def _show(args, out, rules):
    show(args, out, [dict(rule._asdict()) for rule in rules], COLUMNS, "No rules.")


@gen.coroutine
def _list(admin, args, out):
    _show(args, out, (yield admin.describe_acls(_filter(args))))


@gen.coroutine
def _create(admin, args, out):
    rule = Rule(args.resource, args.name, args.principal, args.operation, args.permission, args.host, args.pattern)
    found = yield admin.create_acls([rule])
    raise gen.Return(outcomes(
        args, out, [(dict(rule._asdict()), found[rule])],
        lambda row: "%s %s %s on %s %s." % (
            row["principal"], "may" if args.permission == "allow" else "may not", row["operation"], row["resource"],
            row["name"])))


@gen.coroutine
def _delete(admin, args, out):
    wanted = _filter(args)
    if not args.execute:
        _show(args, out, (yield admin.describe_acls(wanted)))
        complain("nothing was deleted; with --execute it is")
        return
    found = (yield admin.delete_acls([wanted]))[wanted]
    if isinstance(found, exc.KielError):
        raise found
    for error in found.errors.values():
        complain(error)
    if args.json:
        write_json(out, [dict(rule._asdict()) for rule in found.rules])
    else:
        say(out, "Deleted %d rules." % len(found.rules))
    raise gen.Return(FAILED if found.errors else DONE)


#: the word on the command line -> what it does
COMMANDS = {"list": _list, "create": _create, "delete": _delete}

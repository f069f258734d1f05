"""``kiel configs``: settings looked at and changed."""
from __future__ import absolute_import, print_function

from tornado import gen

from kiel import exc
from kiel.clients.administering.configs import NUMBERS, Append, Resource, Subtract
from kiel.commands import line
from kiel.commands.showing import CommandError, outcomes, show


def add(kinds, shared):
    """Add the parser of this kind of commands."""
    configs = kinds.add_parser("configs", help="configurations of topics, brokers, groups")
    commands = configs.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in (("describe", "show a configuration"), ("alter", "change a configuration")):
        command = commands.add_parser(name, parents=[shared], help=text)
        command.add_argument("resource", choices=sorted(NUMBERS), help="the type of resource")
        command.add_argument("name", nargs="?", default="",
                             help="its name; for brokers, none means the cluster-wide default")
        command.set_defaults(run=COMMANDS[name])
    describe, alter = commands.choices["describe"], commands.choices["alter"]
    describe.add_argument("--setting", action="append", metavar="NAME",
                          help="only this setting; may be given several times")
    describe.add_argument("--all", action="store_true", help="also settings that have their default value")
    describe.add_argument("--documentation", action="store_true", help="also what each setting is for")
    alter.add_argument("--set", type=line.pair, action="append", default=[], metavar="NAME=VALUE")
    alter.add_argument("--unset", action="append", default=[], metavar="NAME", help="reset to the default")
    alter.add_argument("--append", type=line.pair, action="append", default=[], metavar="NAME=ITEM",
                       help="add to a list")
    alter.add_argument("--subtract", type=line.pair, action="append", default=[], metavar="NAME=ITEM",
                       help="remove from a list")
    alter.add_argument("--dry-run", action="store_true", help="only check whether it could be done")
    configs.set_defaults(needs="configs describe or alter")


@gen.coroutine
def _describe(admin, args, out):
    resource = Resource(args.resource, args.name)
    found = (yield admin.describe_configs(resource, args.setting, documentation=args.documentation))[resource]
    if isinstance(found, exc.KielError):
        raise found
    rows = [dict(setting=name, value=found[name].value, source=found[name].source, type=found[name].type,
                 read_only=found[name].read_only, sensitive=found[name].sensitive,
                 documentation=found[name].documentation)
            for name in sorted(found) if args.all or args.setting or found[name].source not in ("default", None)]
    columns = ["setting", "value", "source"] + (["documentation"] if args.documentation else [])
    show(args, out, rows, columns, "All settings have their default values; --all shows them.")


@gen.coroutine
def _alter(admin, args, out):
    changes = {}
    for name, value in (
        list(args.set) + [(name, None) for name in args.unset] + [(name, Append([item])) for name, item in args.append]
        + [(name, Subtract([item])) for name, item in args.subtract]
    ):
        if name in changes:
            raise CommandError("%s is changed twice" % name)
        changes[name] = value
    if not changes:
        raise CommandError("say what to change: --set, --unset, --append or --subtract")
    resource = Resource(args.resource, args.name)
    found = yield admin.alter_configs({resource: changes}, validate_only=args.dry_run)
    raise gen.Return(outcomes(
        args, out, [(dict(resource=args.resource, name=args.name), found[resource])],
        lambda row: "%s %s." % ("Could change" if args.dry_run else "Changed", " ".join((
            args.resource, args.name)).strip())))


#: the word on the command line -> what it does
COMMANDS = {"describe": _describe, "alter": _alter}

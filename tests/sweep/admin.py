"""The calls of an Admin in the sweep: each api by a call that uses it, with answers that are made of the requests."""
from __future__ import absolute_import

import collections

import six
from tornado import gen

from kiel import clients, exc
from kiel.clients.administering import acls, users
from kiel.clients.administering.transactions import ActiveProducer
from kiel.protocol import response as responses
from kiel.protocol.part import Part

from tests import answers
from tests.clients.test_administering import KNOWN

#: what the broker serves
VERSIONS = dict(KNOWN, list_groups=(0, 5), describe_groups=(0, 6), delete_groups=(0, 3), offset_delete=(0, 0),
                leave_group=(0, 5), describe_quorum=(0, 2), describe_client_quotas=(0, 1), alter_client_quotas=(0, 1),
                describe_user_scram_credentials=(0, 0),
                list_partition_reassignments=(0, 0))

RULE = acls.Rule("topic", "t", "User:a", "read")

#: api -> (the call that is made, its arguments)
CALLS = collections.OrderedDict([
    ("metadata", ("describe_topics", (["t"],))),
    ("offset", ("end_offsets", ("t",))),
    ("create_topics", ("create_topics", (["u"],))),
    ("delete_topics", ("delete_topics", (["t"],))),
    ("create_partitions", ("create_partitions", ({"t": 2},))),
    ("delete_records", ("delete_records", ({("t", 0): 1},))),
    ("describe_configs", ("describe_configs", ([("topic", "t")],))),
    ("incremental_alter_configs", ("alter_configs", ({("topic", "t"): {"retention.ms": "1"}},))),
    ("elect_leaders", ("elect_leaders", ([("t", 0)],))),
    ("alter_partition_reassignments", ("alter_reassignments", ({("t", 0): [1]},))),
    ("list_partition_reassignments", ("list_reassignments", ())),
    ("describe_cluster", ("describe_cluster", ())),
    ("describe_log_dirs", ("describe_log_dirs", ())),
    ("describe_quorum", ("describe_quorum", ())),
    ("update_features", ("update_features", ({"x": 1},))),
    ("describe_user_scram_credentials", ("describe_scram_users", (["a"],))),
    ("alter_user_scram_credentials", ("alter_scram_users", ([users.NoCredential("a")],))),
    ("describe_client_quotas", ("describe_client_quotas", ())),
    ("alter_client_quotas", ("alter_client_quotas", ({users.Entity(user="a"): {"producer_byte_rate": 1}},))),
    ("list_transactions", ("list_transactions", ())),
    ("describe_transactions", ("describe_transactions", (["x"],))),
    ("describe_producers", ("describe_producers", ([("t", 0)],))),
    ("write_txn_markers", ("abort_transaction", (("t", 0), ActiveProducer(7, 1, 0, 0, -1, 5)))),
    ("describe_acls", ("describe_acls", ())),
    ("create_acls", ("create_acls", ([RULE],))),
    ("delete_acls", ("delete_acls", ([acls.Filter()],))),
    ("create_delegation_token", ("create_delegation_token", ())),
    ("renew_delegation_token", ("renew_delegation_token", (b"YWJj",))),
    ("expire_delegation_token", ("expire_delegation_token", (b"YWJj",))),
    ("describe_delegation_token", ("describe_delegation_tokens", ())),
    ("list_groups", ("list_groups", ())),
    ("describe_groups", ("describe_groups", (["g"],))),
    ("consumer_group_describe", ("describe_groups", (["g"],))),
    ("group_coordinator", ("committed_offsets", ("g",))),
    ("offset_fetch", ("committed_offsets", ("g", ["t"]))),
    ("delete_groups", ("delete_group", ("g",))),
    ("offset_delete", ("delete_offsets", ("g", [("t", 0)]))),
    ("offset_commit", ("reset_offsets", ("g", {("t", 0): 1}))),
])

#: (api, code) of answers that are no errors to the call: there is no such group, or it is of the other kind
MEANT = {("describe_groups", 69), ("consumer_group_describe", 69), ("consumer_group_describe", 35)}

#: what an answer that is made of its request needs besides
MORE = {
    "describe_groups": dict(state="Empty", protocol_type="consumer"),
    "describe_cluster": dict(controller_id=1),
    "describe_user_scram_credentials": dict(user="a"),
    "alter_user_scram_credentials": dict(user="a"),
}


def mirrored(cls, asked, code, more=()):
    """Return an answer, or a part of one, which says of all that was asked the same, and has its names and numbers."""
    made = cls()
    for field in cls.parts:
        name, kind = field[0], field[1]
        item = getattr(kind, "item_class", None)
        if name == "error_code":
            made.error_code = code
        elif item is not None and issubclass(item, Part):
            setattr(made, name, [mirrored(item, each, code, more) for each in _list_of(asked, name)])
        elif isinstance(asked, Part) and hasattr(asked, name) and item is None:
            setattr(made, name, getattr(asked, name))
        elif not isinstance(asked, Part) and asked is not None and item is None and _fits(getattr(made, name), asked):
            setattr(made, name, asked)  # of a list of names, or of numbers
            asked = None
        if name in more:
            setattr(made, name, more[name])
    return made


def _fits(default, value):
    return isinstance(value, six.string_types) == (default is None or isinstance(default, six.string_types))


def _list_of(asked, name):
    """Return the items of a request that an array of its answer is about."""
    if not isinstance(asked, Part):
        return []
    lists = [(field[0], getattr(asked, field[0]) or []) for field in asked.parts
             if getattr(field[1], "item_class", None) is not None]
    named = [items for other, items in lists if other == name]
    return max(named or [items for _, items in lists] or [[]], key=len)


def answer(code=0):
    """A handler: the answer of an api that the fake itself does not know."""
    def handler(call):
        return mirrored(responses.classes[call.api], call.request, code, MORE.get(call.api, ()))
    return handler


def prepare(cluster):
    """Have a broker answer what the fake does not know."""
    for api in VERSIONS:
        if not hasattr(answers, api):
            cluster[1].on(api, answer())
    cluster[1].on("consumer_group_describe", answer(69))  # it is a group of the old kind
    cluster[1].on("identity", lambda call: dict(
        brokers=[dict(broker_id=1, host=cluster[1].host, port=cluster[1].port)], cluster_id="fake", controller_id=1,
        topics=[]))


def errors_in(result):
    """Return the errors that a result has in it."""
    if isinstance(result, exc.KielError):
        return [result]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [error for each in result for error in errors_in(each)]
    error = getattr(result, "error", None)
    return [error] if isinstance(error, exc.KielError) else []


@gen.coroutine
def case(cluster, ledger, api, fault):
    """A call during the fault, and one after it: the first is told of the error or asks again, the second goes well."""
    name, given = CALLS[api]
    prepare(cluster)
    admin = clients.Admin(cluster.bootstrap, **ledger.settings)
    try:
        yield admin.connect()
        before = cluster[1].count(api)
        ended = fault.begin(api)
        good, result = yield ledger.attempt(getattr(admin, name)(*given))
        asked = cluster[1].count(api) - before
        ledger.raised.extend(type(error).__name__ for error in errors_in(result))
        yield ended
        if not asked:
            raise gen.Return("%s() does not ask" % name)
        if not ledger.raised and asked == fault.refused and (api, fault.code) not in MEANT:
            raise gen.Return("the error is not told")
        try:
            result = yield getattr(admin, name)(*given)
        except exc.KielError as error:
            raise gen.Return("does not recover: %s" % type(error).__name__)
        if errors_in(result):
            raise gen.Return("does not recover: %s" % errors_in(result))
    finally:
        yield admin.close()

"""A cluster seen from outside, and changed: groups, topics, settings, brokers, users, transactions."""
from __future__ import absolute_import

from tornado import gen

from kiel import constants
from kiel.clients.administering import acls
from kiel.clients.administering.clusters import Clusters
from kiel.clients.administering.configs import Configs
from kiel.clients.administering.groups import Groups, Lag, Listing, Reset
from kiel.clients.administering.partitions import Partitions
from kiel.clients.administering.routes import Routes
from kiel.clients.administering.tokens import DelegationTokens
from kiel.clients.administering.topics import Topics
from kiel.clients.administering.transactions import Transactions
from kiel.clients.administering.users import Users
from kiel.clients.client import Client
from kiel.clients.consuming.offset_lookup import OffsetLookup
from kiel.clients.grouping.group_view import CLASSIC, CONSUMER
from kiel.events import detached


class Admin(Client):
    """
    Looks at a cluster and at its groups, and changes them.

    It belongs to no group. What a broker is too old for raises `kiel.exc.UnsupportedVersionError`, which says from
    which Kafka on it is there. Whatever fails in passing is tried again until the deadline of ``retry``, or for
    ``timeout`` seconds; then the last error counts. A call about several things has a result for each: the value, or
    the `kiel.exc.KielError`. What is about all of them is raised.

    :param brokers: bootstrap hosts, see `kiel.clients.client.Client`, which also takes ``settings``
    :param zookeeper_offsets: whether offsets that kiel keeps in ZooKeeper count too, on brokers that have that
        store: the higher of both is where a group with ``zk_hosts`` goes on, and a reset writes both. Kafka does not
        know the members of such groups: stop them before a reset.
    """

    #: what an uncommitted transaction's messages are: visible
    isolation_level = constants.READ_UNCOMMITTED

    def __init__(self, brokers, zookeeper_offsets=False, **settings):
        super(Admin, self).__init__(brokers, **settings)
        self.zookeeper_offsets = zookeeper_offsets
        #: looks offsets up by time
        self._lookup = OffsetLookup(self, self.isolation_level)
        self.groups = Groups(self, self._lookup)
        routes = Routes(self)
        self.topics = Topics(routes)
        self.configs = Configs(routes)
        self.partitions = Partitions(routes)
        self.clusters = Clusters(routes)
        self.users = Users(routes)
        self.transactions = Transactions(routes)
        self.acls = acls.Acls(routes.any_broker)
        self.delegation_tokens = DelegationTokens(routes.any_broker)

    def wind_down(self):
        """Nothing is under way of its own accord."""
        return gen.maybe_future(None)

    # -- offsets by time --

    def handle_offset_response(self, response):
        """Return ``{(topic, partition): (offset, timestamp) or KielError}``."""
        return self._lookup.handle_offset_response(response)

    def beginning_offsets(self, topic):
        """Return the first offset there is: a Future of ``{partition: offset}``."""
        return detached(self._lookup.beginning_offsets(topic))

    def end_offsets(self, topic):
        """Return the offset after the last message that may be read: a Future of ``{partition: offset}``."""
        return detached(self._lookup.end_offsets(topic))

    def offsets_for_times(self, topic, when):
        """
        Return the first offset at or after a time: a Future of ``{partition: (offset, timestamp) or None}``.

        See `kiel.clients.consuming.offset_lookup.OffsetLookup.offsets_for_times`.
        """
        return detached(self._lookup.offsets_for_times(topic, when))

    # -- groups --

    def group(self, name):
        """Return the `kiel.clients.grouping.group_view.GroupView` of a group."""
        return self.groups.group(name)

    def list_groups(self, states=None, types=None):
        """
        Ask all brokers for the groups they coordinate: a list of `Listing`, by name.

        :param states: only groups in one of these states, such as ``["Empty"]``; their case does not matter
        :param types: only groups of one of these types: "classic", "consumer"
        :raises kiel.exc.KielError: when a broker of the cluster does not answer: its groups would be missing
        """
        return detached(self.groups.list_groups(states, types))

    def describe_groups(self, names):
        """
        Describe groups, classic ones and those of the next generation.

        Gives ``{name: GroupDescription}``; a group that is not there is "Dead".

        :param names: the groups' names
        :raises kiel.exc.KielError: the first error, when one could not be described
        """
        return detached(self.groups.describe_groups(names))

    def committed_offsets(self, group, topics=None):
        """
        Return what a group has committed: ``{(topic, partition): offset}``, the next offsets that it reads.

        :param topics: names: all their partitions are given, with None where the group has committed nothing; default:
            all offsets that the group has. Brokers before 0.10.2 are asked topic by topic for those.
        :raises kiel.exc.UnknownTopicOrPartitionError: when one of ``topics`` is not there
        """
        return detached(self.groups.committed_offsets(group, topics))

    def lag(self, group, topics=None):
        """
        Tell how far a group is behind: ``{(topic, partition): Lag}``.

        It is about the partitions that the group has committed offsets in, and those that members have.

        :param topics: names, to be told of all partitions of those topics only
        """
        return detached(self.groups.lag(group, topics))

    def delete_group(self, name):
        """
        Delete a group with all it has committed (Kafka 1.1 and later, KIP-229).

        :raises kiel.exc.NonEmptyGroupError: when it has live members
        :raises kiel.exc.GroupIdNotFoundError: when it is not there
        :raises kiel.exc.UnsupportedVersionError: on brokers before 1.1, which forget groups by themselves, after
            ``offsets.retention.minutes``
        """
        return detached(self.groups.delete_group(name))

    def delete_offsets(self, group, partitions):
        """
        Forget what a group has committed in some partitions (Kafka 2.4 and later, KIP-496).

        :param partitions: ``(topic, partition)`` pairs
        :raises kiel.exc.GroupSubscribedToTopicError: when a live member is subscribed to the topic; the other
            partitions are done
        :raises kiel.exc.UnsupportedVersionError: on brokers before 2.4
        """
        return detached(self.groups.delete_offsets(group, partitions))

    def reset_offsets(self, group, to, topics=None, dry_run=False):
        """
        Set where a group goes on; return ``{(topic, partition): Reset}``.

        Offsets before the first message there is, or after the end, become the nearest there is.

        :param group: the group; it must have no live members, which would go on as before and commit over it. One that
            is not there comes into being.
        :param to: `kiel.clients.BEGINNING` or ``END``; a time: milliseconds since 1970, a datetime (UTC unless
            it says otherwise) or a timedelta back from now; or ``{(topic, partition): offset}``
        :param topics: names; default: the topics in which the group has committed offsets. Not with explicit offsets.
        :param dry_run: True to only tell what would be done
        :raises kiel.exc.NonEmptyGroupError: when the group has live members
        """
        return detached(self.groups.reset_offsets(group, to, topics, dry_run))

    def remove_members(self, group, members=None, instances=None, reason=None):
        """
        Take members out of a group: a Future of ``{member id or instance id: True or KielError}`` (Kafka 2.4).

        One that is alive joins again, unless it is a static one of the classic protocol, which ends.

        :param members: ids of members, as `describe_groups` tells them
        :param instances: names of static members; default, where neither is given: all members
        :param reason: what the broker's log says of it (Kafka 3.2)
        """
        return detached(self.groups.remove_members(group, members, instances, reason))

    # -- topics --

    def list_topics(self, internal=False, timeout=None):
        """
        Return the topics that the user may see: a Future of a list of `kiel.clients.administering.topics.TopicListing`.

        :param internal: whether Kafka's own topics are wanted too
        :param timeout: seconds to try; default, here and in all that follows: as ``retry`` says
        """
        return detached(self.topics.list(internal, timeout))

    def describe_topics(self, names, timeout=None):
        """
        Describe topics, none of which is created by that.

        Return a Future of ``{name: kiel.clients.administering.topics.TopicDescription or KielError}``.
        """
        return detached(self.topics.describe(names, timeout))

    def create_topics(self, topics, timeout=None, validate_only=False):
        """
        Make topics (Kafka 0.10.1 and later).

        Return a Future of ``{name: kiel.clients.administering.topics.CreatedTopic or KielError}``. Where the first
        answer is lost, the second says that the topic is there.

        :param topics: `kiel.clients.administering.topics.NewTopic` objects, or names
        :param timeout: seconds that the controller may take, and to try
        :param validate_only: True to only find out whether it could be done (0.10.2)
        """
        return detached(self.topics.create(topics, timeout, validate_only))

    def delete_topics(self, names, timeout=None):
        """Delete topics with all messages: a Future of ``{name: True or KielError}`` (Kafka 0.10.1 and later)."""
        return detached(self.topics.delete(names, timeout))

    def create_partitions(self, counts, timeout=None, validate_only=False):
        """
        Add partitions to topics: a Future of ``{name: True or KielError}`` (Kafka 1.0 and later).

        Keys that have gone to one partition go to another from then on.

        :param counts: ``{name: how many there shall be altogether}``, or `NewPartitions` of
            `kiel.clients.administering.topics`, which tell the brokers too
        :param validate_only: True to only find out whether it could be done
        """
        return detached(self.topics.grow(counts, timeout, validate_only))

    # -- settings --

    def describe_configs(self, resources, names=None, synonyms=False, documentation=False, timeout=None):
        """
        Return settings (Kafka 0.11 and later).

        Return a Future of ``{Resource: {name: Config} or KielError}``, both of `kiel.clients.administering.configs`.

        :param resources: `Resource` objects, or pairs such as ``("topic", "colors")``, ``("broker", 1)``
        :param names: only these settings
        :param synonyms: whether to tell all places that have a value (Kafka 1.1)
        :param documentation: whether to tell what each one is for (Kafka 2.6)
        """
        return detached(self.configs.describe(resources, names, synonyms, documentation, timeout))

    def alter_configs(self, changes, validate_only=False, timeout=None):
        """
        Change settings one by one; all others stay (Kafka 0.11 and later).

        Return a Future of ``{Resource: True or KielError}``. The settings of one resource change together, or not.

        Brokers before 2.3 can only be given all settings of a resource at once, so they are read, changed and written
        back: what somebody else changes in between is lost. There ``Append`` and ``Subtract`` work for the lists that
        topics have; other settings have to be set as a whole, else the value is an
        `~kiel.exc.UnsupportedVersionError`.

        :param changes: ``{resource: {name: value}}``; a value of None takes the resource's own away, so that the
            default counts; ``Append([...])`` and ``Subtract([...])`` of `kiel.clients.administering.configs` change
            lists
        :param validate_only: True to only find out whether it could be done
        """
        return detached(self.configs.alter(changes, validate_only, timeout))

    # -- partitions --

    def delete_records(self, offsets, timeout=None):
        """
        Delete the messages before an offset (Kafka 0.11 and later).

        Return a Future of ``{(topic, partition): the first offset that is left, or KielError}``.

        :param offsets: ``{(topic, partition): offset}``; `kiel.clients.END` deletes all that there are
        """
        return detached(self.partitions.delete_records(offsets, timeout))

    def elect_leaders(self, partitions=None, unclean=False, timeout=None):
        """
        Make the preferred replicas leaders (Kafka 2.2 and later).

        Return a Future of ``{(topic, partition): True or KielError}``, False where it need not be done.

        :param partitions: ``(topic, partition)`` pairs; default: all that there are
        :param unclean: True to take a replica that may lack messages, where no other is up (2.4): they are lost
        """
        return detached(self.partitions.elect(partitions, unclean, timeout))

    def alter_reassignments(self, moves, timeout=None):
        """
        Move partitions to other brokers: a Future of ``{(topic, partition): True or KielError}`` (Kafka 2.4 and later).

        It begins the move; `list_reassignments` tells whether it is under way.

        :param moves: ``{(topic, partition): [broker ids]}``, the preferred leader first; None calls a move off
        """
        return detached(self.partitions.reassign(moves, timeout))

    def list_reassignments(self, partitions=None, timeout=None):
        """
        Return the moves that are under way (Kafka 2.4 and later).

        Return a Future of ``{(topic, partition): kiel.clients.administering.partitions.Reassignment}``.

        :param partitions: only these ``(topic, partition)`` pairs
        """
        return detached(self.partitions.reassignments(partitions, timeout))

    # -- the cluster --

    def describe_cluster(self, fenced=False, timeout=None):
        """
        Describe the cluster: a Future of a `kiel.clients.administering.clusters.ClusterDescription`.

        :param fenced: whether brokers count too that are registered and do not serve (Kafka 4.0)
        """
        return detached(self.clusters.describe(fenced, timeout))

    def describe_log_dirs(self, brokers=None, partitions=None, timeout=None):
        """
        Tell what is in the brokers' directories, and its size (Kafka 1.0 and later).

        Return a Future of ``{broker id: {path: kiel.clients.administering.clusters.LogDir} or KielError}``.

        :param brokers: ids; default: all
        :param partitions: only these ``(topic, partition)`` pairs
        """
        return detached(self.clusters.log_dirs(brokers, partitions, timeout))

    def describe_quorum(self, timeout=None):
        """Describe the controllers: a Future of a `kiel.clients.administering.clusters.Quorum` (3.3, no ZooKeeper)."""
        return detached(self.clusters.quorum(timeout))

    def describe_features(self, timeout=None):
        """Return a Future of ``{name: kiel.clients.administering.clusters.Feature}`` (Kafka 2.7 and later)."""
        return detached(self.clusters.features(timeout))

    def update_features(self, levels, upgrade="upgrade", validate_only=False, timeout=None):
        """
        Set levels of features: a Future of ``{name: True or KielError}`` (Kafka 2.7 and later).

        From Kafka 4.0 on all of them are set, or none.

        :param levels: ``{name: level}``; 0 takes the feature away
        :param upgrade: "upgrade"; or "safe_downgrade", "unsafe_downgrade", which may lose what the cluster knows (3.3)
        :param validate_only: True to only find out whether it could be done (3.3)
        """
        return detached(self.clusters.update_features(levels, upgrade, validate_only, timeout))

    # -- users and quotas --

    def describe_scram_users(self, users=None, timeout=None):
        """
        Tell who may log in by SCRAM: a Future of ``{user: {mechanism: iterations} or KielError}`` (Kafka 2.7).

        :param users: names; default: all
        """
        return detached(self.users.describe_scram(users, timeout))

    def alter_scram_users(self, changes, timeout=None):
        """
        Let users log in by SCRAM, or not any more: a Future of ``{user: True or KielError}`` (Kafka 2.7 and later).

        :param changes: `kiel.clients.administering.users.Credential` and ``NoCredential`` objects
        """
        return detached(self.users.alter_scram(changes, timeout))

    def describe_client_quotas(self, components=None, strict=False, timeout=None):
        """
        Return quotas (Kafka 2.6 and later): a Future of ``{kiel.clients.administering.users.Entity: {quota: value}}``.

        :param components: ``{"user": name, "client_id": name, "ip": address}``, or some of them: only entities with
            them; ``DEFAULT`` of `kiel.clients.administering.users` is for those without a quota of their own, ``ANY``
            any name
        :param strict: True for entities that have no other components
        """
        return detached(self.users.describe_quotas(components, strict, timeout))

    def alter_client_quotas(self, changes, validate_only=False, timeout=None):
        """
        Change quotas (Kafka 2.6): a Future of ``{kiel.clients.administering.users.Entity: True or KielError}``.

        :param changes: ``{Entity: {quota: number, or None to take it away}}``; quotas are "producer_byte_rate",
            "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate"
        :param validate_only: True to only find out whether it could be done
        """
        return detached(self.users.alter_quotas(changes, validate_only, timeout))

    # -- transactions --

    def list_transactions(self, states=None, producer_ids=None, longer_than=None, pattern=None, timeout=None):
        """
        Ask all brokers for the transactional ids that they coordinate (Kafka 3.0 and later).

        Return a Future of a list of `kiel.clients.administering.transactions.TransactionListing`.

        :param states: only those in one of these states, such as ``["Ongoing"]``
        :param producer_ids: only those of these producers
        :param longer_than: only transactions that are open for more seconds than that (3.8)
        :param pattern: only those that this regular expression of RE2 matches (4.1)
        :raises kiel.exc.KielError: when a broker does not answer: its transactions would be missing
        """
        return detached(self.transactions.list(states, producer_ids, longer_than, pattern, timeout))

    def describe_transactions(self, transactional_ids, timeout=None):
        """
        Describe transactional ids, and what they have open (Kafka 3.0 and later).

        Return a Future of ``{id: kiel.clients.administering.transactions.TransactionDescription or KielError}``.
        """
        return detached(self.transactions.describe(transactional_ids, timeout))

    def describe_producers(self, partitions, timeout=None):
        """
        Tell who has written to partitions, and whose transactions are open there (Kafka 2.8 and later).

        Return a Future of ``{(topic, partition): [ActiveProducer] or KielError}``, see
        `kiel.clients.administering.transactions.ActiveProducer`.
        """
        return detached(self.transactions.producers(partitions, timeout))

    def abort_transaction(self, partition, producer, timeout=None):
        """
        End a transaction that hangs in a partition, since its coordinator knows nothing of it (Kafka 3.0 and later).

        It must be no transaction that is still under way: look at `describe_transactions` first.

        :param partition: a ``(topic, partition)``
        :param producer: the `kiel.clients.administering.transactions.ActiveProducer` that `describe_producers` tells of
        """
        return detached(self.transactions.abort(partition, producer, timeout))

    # -- who may do what --

    def describe_acls(self, wanted=acls.Filter()):
        """
        Return the rules that a filter lets through: a Future of a sorted list of `Rule`.

        :param wanted: a `kiel.clients.administering.acls.Filter`; default: all rules
        :raises kiel.exc.SecurityDisabledError: when the brokers have no authorizer
        :raises kiel.exc.UnsupportedVersionError: on brokers before 0.11
        """
        return detached(self.acls.describe(wanted))

    def create_acls(self, rules):
        """
        Make rules; one that is there already does no harm. Return a Future of ``{Rule: True or KielError}``.

        :param rules: `kiel.clients.administering.acls.Rule` objects
        :raises kiel.exc.KielError: when the brokers could not be asked at all
        """
        return detached(self.acls.create(rules))

    def delete_acls(self, filters):
        """
        Delete all rules that one of the filters lets through. Return a Future of ``{Filter: Deleted or KielError}``.

        :param filters: `kiel.clients.administering.acls.Filter` objects
        :raises kiel.exc.KielError: when the brokers could not be asked at all
        """
        return detached(self.acls.delete(filters))

    # -- delegation tokens --

    def create_delegation_token(self, renewers=(), owner=None, max_lifetime=None):
        """
        Make a token; return a Future of the `kiel.clients.administering.tokens.Token` (Kafka 1.1 and later).

        An answer that is lost is asked for again: then there is a second token, which nobody knows, and which expires.

        :param renewers: principals, such as ``["User:bob"]``, that may renew it besides its owner
        :param owner: the principal that it is for (Kafka 3.3 and later); default: this client's
        :param max_lifetime: seconds after which it can't be renewed any more; default: what the brokers allow
        :raises kiel.exc.DelegationTokenAuthDisabledError: when the brokers are not set up for tokens
        :raises kiel.exc.DelegationTokenRequestNotAllowedError: when this client did not log in, or did so by a token
        """
        return detached(self.delegation_tokens.create(renewers, owner, max_lifetime))

    def renew_delegation_token(self, token, period=None):
        """
        Make a token valid for longer; return a Future of the time of its end, in milliseconds since 1970.

        :param token: the `kiel.clients.administering.tokens.Token`, or its HMAC in base64
        :param period: seconds from now; default: the brokers' ``delegation.token.expiry.time.ms``
        """
        return detached(self.delegation_tokens.renew(token, period))

    def expire_delegation_token(self, token, after=None):
        """
        Have a token end; return a Future of the time of its end, in milliseconds since 1970.

        :param token: the `kiel.clients.administering.tokens.Token`, or its HMAC in base64
        :param after: seconds from now; default: at once
        """
        return detached(self.delegation_tokens.expire(token, after))

    def describe_delegation_tokens(self, owners=None):
        """
        Return the tokens that this client may see: a Future of a list of `kiel.clients.administering.tokens.Token`.

        :param owners: only tokens of these principals, such as ``["User:alice"]``
        """
        return detached(self.delegation_tokens.describe(owners))


__all__ = ["Admin", "CLASSIC", "CONSUMER", "Lag", "Listing", "Reset"]

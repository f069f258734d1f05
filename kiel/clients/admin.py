"""A cluster seen from outside: groups, who is in them and how far they have come; ACLs; delegation tokens."""
from __future__ import absolute_import

from tornado import gen

from kiel import constants
from kiel.clients.administering import acls
from kiel.clients.administering.any_broker import AnyBroker
from kiel.clients.administering.groups import Groups, Lag, Listing, Reset
from kiel.clients.administering.tokens import DelegationTokens
from kiel.clients.client import Client
from kiel.clients.consuming.offset_lookup import OffsetLookup
from kiel.clients.grouping.group_view import CLASSIC, CONSUMER


class Admin(Client):
    """
    Looks at groups, and deletes or resets what they have committed; sets up ACLs and delegation tokens.

    It belongs to no group. Kafka 0.9 and later tell of groups; of 0.8.2, `committed_offsets` and the look-ups of
    offsets are all there is, and the rest raises `kiel.exc.UnsupportedVersionError`. Whatever fails in passing is tried
    again until the deadline of ``retry``; then the last error is raised.

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
        brokers = AnyBroker(self)
        self.acls = acls.Acls(brokers)
        self.delegation_tokens = DelegationTokens(brokers)

    def wind_down(self):
        """Nothing is under way of its own accord."""
        return gen.maybe_future(None)

    # -- offsets by time --

    def handle_offset_response(self, response):
        """Return ``{(topic, partition): (offset, timestamp) or KielError}``."""
        return self._lookup.handle_offset_response(response)

    def beginning_offsets(self, topic):
        """Return the first offset there is: a Future of ``{partition: offset}``."""
        return self._lookup.beginning_offsets(topic)

    def end_offsets(self, topic):
        """Return the offset after the last message that may be read: a Future of ``{partition: offset}``."""
        return self._lookup.end_offsets(topic)

    def offsets_for_times(self, topic, when):
        """
        Return the first offset at or after a time: a Future of ``{partition: (offset, timestamp) or None}``.

        See `kiel.clients.consuming.offset_lookup.OffsetLookup.offsets_for_times`.
        """
        return self._lookup.offsets_for_times(topic, when)

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
        return self.groups.list_groups(states, types)

    def describe_groups(self, names):
        """
        Describes groups, classic ones and those of the next generation.

        Gives ``{name: GroupDescription}``; a group that is not there is "Dead".

        :param names: the groups' names
        :raises kiel.exc.KielError: the first error, when one could not be described
        """
        return self.groups.describe_groups(names)

    def committed_offsets(self, group, topics=None):
        """
        Return what a group has committed: ``{(topic, partition): offset}``, the next offsets that it reads.

        :param topics: names: all their partitions are given, with None where the group has committed nothing; default:
            all offsets that the group has. Brokers before 0.10.2 are asked topic by topic for those.
        :raises kiel.exc.UnknownTopicOrPartitionError: when one of ``topics`` is not there
        """
        return self.groups.committed_offsets(group, topics)

    def lag(self, group, topics=None):
        """
        Tell how far a group is behind: ``{(topic, partition): Lag}``.

        It is about the partitions that the group has committed offsets in, and those that members have.

        :param topics: names, to be told of all partitions of those topics only
        """
        return self.groups.lag(group, topics)

    def delete_group(self, name):
        """
        Delete a group with all it has committed (Kafka 1.1 and later, KIP-229).

        :raises kiel.exc.NonEmptyGroupError: when it has live members
        :raises kiel.exc.GroupIdNotFoundError: when it is not there
        :raises kiel.exc.UnsupportedVersionError: on brokers before 1.1, which forget groups by themselves, after
            ``offsets.retention.minutes``
        """
        return self.groups.delete_group(name)

    def delete_offsets(self, group, partitions):
        """
        Forgets what a group has committed in some partitions (Kafka 2.4 and later, KIP-496).

        :param partitions: ``(topic, partition)`` pairs
        :raises kiel.exc.GroupSubscribedToTopicError: when a live member is subscribed to the topic; the other
            partitions are done
        :raises kiel.exc.UnsupportedVersionError: on brokers before 2.4
        """
        return self.groups.delete_offsets(group, partitions)

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
        return self.groups.reset_offsets(group, to, topics, dry_run)

    # -- who may do what --

    def describe_acls(self, wanted=acls.Filter()):
        """
        Return the rules that a filter lets through: a Future of a sorted list of `Rule`.

        :param wanted: a `kiel.clients.administering.acls.Filter`; default: all rules
        :raises kiel.exc.SecurityDisabledError: when the brokers have no authorizer
        :raises kiel.exc.UnsupportedVersionError: on brokers before 0.11
        """
        return self.acls.describe(wanted)

    def create_acls(self, rules):
        """
        Make rules; one that is there already does no harm. Return a Future of ``{Rule: True or KielError}``.

        :param rules: `kiel.clients.administering.acls.Rule` objects
        :raises kiel.exc.KielError: when the brokers could not be asked at all
        """
        return self.acls.create(rules)

    def delete_acls(self, filters):
        """
        Delete all rules that one of the filters lets through. Return a Future of ``{Filter: Deleted or KielError}``.

        :param filters: `kiel.clients.administering.acls.Filter` objects
        :raises kiel.exc.KielError: when the brokers could not be asked at all
        """
        return self.acls.delete(filters)

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
        return self.delegation_tokens.create(renewers, owner, max_lifetime)

    def renew_delegation_token(self, token, period=None):
        """
        Make a token valid for longer; return a Future of the time of its end, in milliseconds since 1970.

        :param token: the `kiel.clients.administering.tokens.Token`, or its HMAC in base64
        :param period: seconds from now; default: the brokers' ``delegation.token.expiry.time.ms``
        """
        return self.delegation_tokens.renew(token, period)

    def expire_delegation_token(self, token, after=None):
        """
        Have a token end; return a Future of the time of its end, in milliseconds since 1970.

        :param token: the `kiel.clients.administering.tokens.Token`, or its HMAC in base64
        :param after: seconds from now; default: at once
        """
        return self.delegation_tokens.expire(token, after)

    def describe_delegation_tokens(self, owners=None):
        """
        Return the tokens that this client may see: a Future of a list of `kiel.clients.administering.tokens.Token`.

        :param owners: only tokens of these principals, such as ``["User:alice"]``
        """
        return self.delegation_tokens.describe(owners)


__all__ = ["Admin", "CLASSIC", "CONSUMER", "Lag", "Listing", "Reset"]

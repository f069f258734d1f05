from typing import Any, Optional

class KielError(Exception):
    retriable: bool
    cure: Optional[str]

class NoBrokersError(KielError):
    retriable: bool
    cure: Optional[str]

class NoOffsetsError(KielError): ...

class BrokerConnectionError(KielError):
    hint: Any
    cause: Any
    broker_id: Any
    port: Any
    host: Any
    retriable: bool
    cure: Optional[str]
    def __init__(self, host: Any, port: Any, broker_id: Any = ..., cause: Any = ..., hint: Any = ...) -> None: ...

class RequestTimeoutError(BrokerConnectionError): ...

class WrongBrokerError(BrokerConnectionError):
    def __init__(self, host: Any, port: Any, broker_id: Any, reason: Any) -> None: ...

class ProtocolError(KielError):
    retriable: bool
    cure: Optional[str]

class AuthenticationError(KielError): ...

class CredentialsError(KielError):
    retriable: bool

class ZooKeeperError(KielError):
    cause: Any
    reason: Any
    hosts: Any
    retriable: bool
    def __init__(self, hosts: Any, reason: Any, cause: Any = ...) -> None: ...

class GroupMovedError(ZooKeeperError):
    path: Any
    group: Any
    retriable: bool
    def __init__(self, hosts: Any, group: Any, path: Any) -> None: ...

class ClosedError(KielError): ...

class BufferFullError(KielError):
    retriable: bool

class DeliveryTimeoutError(KielError):
    cause: Any
    topic: Any
    partition: Any
    def __init__(self, message: Any, cause: Any = ...) -> None: ...

class NotOwnedError(KielError): ...

class TransactionStateError(KielError): ...

class TransactionFailedError(KielError):
    cause: Any
    def __init__(self, message: Any, cause: Any = ...) -> None: ...

class StreamEnded(KielError, StopAsyncIteration): ...

class ConcurrentConsumeError(KielError): ...

class CorruptMessageError(KielError):
    offset: Any
    partition: Any
    topic: Any
    reason: Any
    def __init__(self, reason: Any, topic: Any = ..., partition: Any = ..., offset: Any = ...) -> None: ...

class LogTruncationError(KielError):
    divergent_offset: Any
    offset: Any
    partition: Any
    topic: Any
    def __init__(self, topic: Any, partition: Any, offset: Any, divergent_offset: Any = ...) -> None: ...

class MissingCodecError(CorruptMessageError): ...

class UnhandledResponseError(KielError):
    api: Any
    def __init__(self, api: Any) -> None: ...

class BrokerError(KielError):
    message: Any
    code: int
    name: str
    def __init__(self, message: Any = ..., code: Any = ...) -> None: ...

class AuthorizationError(BrokerError):
    resource: Any
    resource_name: Any
    operation: Any

class UnknownError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OffsetOutOfRangeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidMessageError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownTopicOrPartitionError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidMessageSizeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class LeaderNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NotPartitionLeaderError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class RequestTimedOutError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class BrokerNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ReplicaNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class MessageSizeTooLargeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StaleControllerEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OffsetMetadataTooLargeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NetworkExceptionError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OffsetsLoadInProgressError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class CoordinatorNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NotCoordinatorError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidTopicError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class RecordListTooLargeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NotEnoughReplicasError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NotEnoughReplicasAfterAppendError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRequiredAcksError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class IllegalGenerationError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InconsistentGroupProtocolError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidGroupIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownMemberIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidSessionTimeoutError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class RebalanceInProgressError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidCommitOffsetSizeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TopicAuthorizationFailedError(AuthorizationError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class GroupAuthorizationFailedError(AuthorizationError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ClusterAuthorizationFailedError(AuthorizationError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidTimestampError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedSaslMechanismError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class IllegalSaslStateError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedVersionError(BrokerError):
    theirs: Any
    ours: Any
    api: Any
    def __init__(self, message: Any = ..., api: Any = ..., ours: Any = ..., theirs: Any = ...) -> None: ...

class TopicAlreadyExistsError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidPartitionsError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidReplicationFactorError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidReplicaAssignmentError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidConfigError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NotControllerError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRequestError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedForMessageFormatError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class PolicyViolationError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OutOfOrderSequenceNumberError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DuplicateSequenceNumberError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidProducerEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidTxnStateError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidProducerIdMappingError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidTransactionTimeoutError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ConcurrentTransactionsError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TransactionCoordinatorFencedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TransactionalIdAuthorizationFailedError(AuthorizationError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class SecurityDisabledError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OperationNotAttemptedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class KafkaStorageError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class LogDirNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class SaslAuthenticationFailedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownProducerIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ReassignmentInProgressError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenAuthDisabledError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenOwnerMismatchError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenRequestNotAllowedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenAuthorizationFailedError(AuthorizationError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DelegationTokenExpiredError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidPrincipalTypeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NonEmptyGroupError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class GroupIdNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FetchSessionIdNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidFetchSessionEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ListenerNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TopicDeletionDisabledError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FencedLeaderEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownLeaderEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedCompressionTypeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StaleBrokerEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OffsetNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class MemberIdRequiredError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class PreferredLeaderNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class GroupMaxSizeReachedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FencedInstanceIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class EligibleLeadersNotAvailableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ElectionNotNeededError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NoReassignmentInProgressError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class GroupSubscribedToTopicError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRecordError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnstableOffsetCommitError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ThrottlingQuotaExceededError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ProducerFencedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ResourceNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DuplicateResourceError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnacceptableCredentialError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InconsistentVoterSetError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidUpdateVersionError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FeatureUpdateFailedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class PrincipalDeserializationFailureError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class SnapshotNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class PositionOutOfRangeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownTopicIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DuplicateBrokerRegistrationError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class BrokerIdNotRegisteredError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InconsistentTopicIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InconsistentClusterIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TransactionalIdNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FetchSessionTopicIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class IneligibleReplicaError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class NewLeaderElectedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class OffsetMovedToTieredStorageError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FencedMemberEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnreleasedInstanceIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedAssignorError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StaleMemberEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class MismatchedEndpointTypeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnsupportedEndpointTypeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownControllerIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class UnknownSubscriptionIdError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TelemetryTooLargeError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRegistrationError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class TransactionAbortableError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRecordStateError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ShareSessionNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidShareSessionEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class FencedStateEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidVoterKeyError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class DuplicateVoterError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class VoterNotFoundError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class InvalidRegularExpressionError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class RebootstrapRequiredError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StreamsInvalidTopologyError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StreamsInvalidTopologyEpochError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StreamsTopologyFencedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ShareSessionLimitReachedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class GroupDeletionFailedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class StreamsTopologyDescriptionUpdateFailedError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

class ControllerIdNotRegisteredError(BrokerError):
    code: int
    name: str
    retriable: bool
    cure: Optional[str]

ConnectionError = BrokerConnectionError

def for_code(code: Any, message: Any = ..., api: Any = ..., **names: Any) -> Any: ...

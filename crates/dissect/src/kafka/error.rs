//! Error codes of brokers by name, as in `org.apache.kafka.common.protocol.Errors`.

/// The name of an error code other than 0; `None` for one that is not known.
pub(super) fn name(code: i16) -> Option<&'static str> {
    match usize::try_from(code) {
        Ok(0) => None,
        Ok(n) => NAMES.get(n).copied(),
        Err(_) => (code == -1).then_some("UNKNOWN_SERVER_ERROR"),
    }
}

/// True for a code that blames the client: what it asked for is not there, not allowed, not valid or
/// not supported, or it is not who it claims to be. Not for those after which the same request may
/// succeed: a leader or coordinator that moves or is not there, a group that changes, a session or
/// an epoch that has to be begun anew, a broker that is short of replicas, disks or time.
pub(super) fn blames_client(code: i16) -> bool {
    matches!(
        code,
        1 | 3 | 4 | 10 | 12 | 17 | 18 | 21..=26 | 28..=40 | 42..=50 | 53 | 54 | 58 | 59 | 61..=69
            | 73 | 76 | 81 | 82 | 85..=87 | 89..=93 | 95 | 100 | 103..=105 | 110..=115 | 117 | 118 | 120
            | 121 | 128 | 130..=132
    )
}

/// True for a code that a broker could send.
pub(super) fn is_plausible(code: i16) -> bool {
    (-1..256).contains(&code)
}

#[rustfmt::skip]
static NAMES: &[&str] = &[
    "NONE", "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_FETCH_SIZE",
    "LEADER_NOT_AVAILABLE", "NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE",
    "REPLICA_NOT_AVAILABLE",
    // 10
    "MESSAGE_TOO_LARGE", "STALE_CONTROLLER_EPOCH", "OFFSET_METADATA_TOO_LARGE", "NETWORK_EXCEPTION",
    "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "INVALID_TOPIC_EXCEPTION",
    "RECORD_LIST_TOO_LARGE", "NOT_ENOUGH_REPLICAS",
    // 20
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "INVALID_REQUIRED_ACKS", "ILLEGAL_GENERATION",
    "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT",
    "REBALANCE_IN_PROGRESS", "INVALID_COMMIT_OFFSET_SIZE", "TOPIC_AUTHORIZATION_FAILED",
    // 30
    "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_TIMESTAMP",
    "UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "UNSUPPORTED_VERSION", "TOPIC_ALREADY_EXISTS",
    "INVALID_PARTITIONS", "INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT",
    // 40
    "INVALID_CONFIG", "NOT_CONTROLLER", "INVALID_REQUEST", "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    "POLICY_VIOLATION", "OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH",
    "INVALID_TXN_STATE", "INVALID_PRODUCER_ID_MAPPING",
    // 50
    "INVALID_TRANSACTION_TIMEOUT", "CONCURRENT_TRANSACTIONS", "TRANSACTION_COORDINATOR_FENCED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "SECURITY_DISABLED", "OPERATION_NOT_ATTEMPTED",
    "KAFKA_STORAGE_ERROR", "LOG_DIR_NOT_FOUND", "SASL_AUTHENTICATION_FAILED", "UNKNOWN_PRODUCER_ID",
    // 60
    "REASSIGNMENT_IN_PROGRESS", "DELEGATION_TOKEN_AUTH_DISABLED", "DELEGATION_TOKEN_NOT_FOUND",
    "DELEGATION_TOKEN_OWNER_MISMATCH", "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED",
    "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_EXPIRED", "INVALID_PRINCIPAL_TYPE",
    "NON_EMPTY_GROUP", "GROUP_ID_NOT_FOUND",
    // 70
    "FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH", "LISTENER_NOT_FOUND",
    "TOPIC_DELETION_DISABLED", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "UNSUPPORTED_COMPRESSION_TYPE",
    "STALE_BROKER_EPOCH", "OFFSET_NOT_AVAILABLE", "MEMBER_ID_REQUIRED",
    // 80
    "PREFERRED_LEADER_NOT_AVAILABLE", "GROUP_MAX_SIZE_REACHED", "FENCED_INSTANCE_ID",
    "ELIGIBLE_LEADERS_NOT_AVAILABLE", "ELECTION_NOT_NEEDED", "NO_REASSIGNMENT_IN_PROGRESS",
    "GROUP_SUBSCRIBED_TO_TOPIC", "INVALID_RECORD", "UNSTABLE_OFFSET_COMMIT", "THROTTLING_QUOTA_EXCEEDED",
    // 90
    "PRODUCER_FENCED", "RESOURCE_NOT_FOUND", "DUPLICATE_RESOURCE", "UNACCEPTABLE_CREDENTIAL",
    "INCONSISTENT_VOTER_SET", "INVALID_UPDATE_VERSION", "FEATURE_UPDATE_FAILED",
    "PRINCIPAL_DESERIALIZATION_FAILURE", "SNAPSHOT_NOT_FOUND", "POSITION_OUT_OF_RANGE",
    // 100
    "UNKNOWN_TOPIC_ID", "DUPLICATE_BROKER_REGISTRATION", "BROKER_ID_NOT_REGISTERED", "INCONSISTENT_TOPIC_ID",
    "INCONSISTENT_CLUSTER_ID", "TRANSACTIONAL_ID_NOT_FOUND", "FETCH_SESSION_TOPIC_ID_ERROR",
    "INELIGIBLE_REPLICA", "NEW_LEADER_ELECTED", "OFFSET_MOVED_TO_TIERED_STORAGE",
    // 110
    "FENCED_MEMBER_EPOCH", "UNRELEASED_INSTANCE_ID", "UNSUPPORTED_ASSIGNOR", "STALE_MEMBER_EPOCH",
    "MISMATCHED_ENDPOINT_TYPE", "UNSUPPORTED_ENDPOINT_TYPE", "UNKNOWN_CONTROLLER_ID",
    "UNKNOWN_SUBSCRIPTION_ID", "TELEMETRY_TOO_LARGE", "INVALID_REGISTRATION",
    // 120
    "TRANSACTION_ABORTABLE", "INVALID_RECORD_STATE", "SHARE_SESSION_NOT_FOUND", "INVALID_SHARE_SESSION_EPOCH",
    "FENCED_STATE_EPOCH", "INVALID_VOTER_KEY", "DUPLICATE_VOTER", "VOTER_NOT_FOUND",
    "INVALID_REGULAR_EXPRESSION", "REBOOTSTRAP_REQUIRED",
    // 130
    "STREAMS_INVALID_TOPOLOGY", "STREAMS_INVALID_TOPOLOGY_EPOCH", "STREAMS_TOPOLOGY_FENCED",
    "SHARE_SESSION_LIMIT_REACHED",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        for (code, expected) in [
            (-1, "UNKNOWN_SERVER_ERROR"),
            (3, "UNKNOWN_TOPIC_OR_PARTITION"),
            (16, "NOT_COORDINATOR"),
            (36, "TOPIC_ALREADY_EXISTS"),
            (58, "SASL_AUTHENTICATION_FAILED"),
            (79, "MEMBER_ID_REQUIRED"),
            (87, "INVALID_RECORD"),
            (100, "UNKNOWN_TOPIC_ID"),
            (110, "FENCED_MEMBER_EPOCH"),
            (120, "TRANSACTION_ABORTABLE"),
            (133, "SHARE_SESSION_LIMIT_REACHED"),
        ] {
            assert_eq!(name(code), Some(expected));
        }
        for blamed in [
            "OFFSET_OUT_OF_RANGE",
            "UNKNOWN_TOPIC_OR_PARTITION",
            "TOPIC_AUTHORIZATION_FAILED",
            "UNSUPPORTED_VERSION",
            "SASL_AUTHENTICATION_FAILED",
            "PRODUCER_FENCED",
            "INVALID_REQUEST",
        ] {
            let code = NAMES.iter().position(|n| *n == blamed).unwrap();
            assert!(blames_client(i16::try_from(code).unwrap()), "{blamed}");
        }
        for other in [
            "NONE",
            "CORRUPT_MESSAGE",
            "LEADER_NOT_AVAILABLE",
            "NOT_LEADER_OR_FOLLOWER",
            "REQUEST_TIMED_OUT",
            "NOT_COORDINATOR",
            "REBALANCE_IN_PROGRESS",
            "NOT_CONTROLLER",
            "CONCURRENT_TRANSACTIONS",
            "KAFKA_STORAGE_ERROR",
            "FETCH_SESSION_ID_NOT_FOUND",
            "MEMBER_ID_REQUIRED",
            "UNSTABLE_OFFSET_COMMIT",
            "REBOOTSTRAP_REQUIRED",
        ] {
            let code = NAMES.iter().position(|n| *n == other).unwrap();
            assert!(!blames_client(i16::try_from(code).unwrap()), "{other}");
        }
        assert!(!blames_client(-1));
        assert_eq!((name(0), name(134), name(-2)), (None, None, None));
    }
}

//! The APIs by their keys, under the names that Kafka's own tools print.

use super::schema::{self as s, Body};

/// Produce, which may have no response.
pub(super) const PRODUCE: i16 = 0;
/// ControlledShutdown, whose first version has no client id in its header.
pub(super) const CONTROLLED_SHUTDOWN: i16 = 7;
/// SaslHandshake, after whose first version the connection carries bare tokens.
pub(super) const SASL_HANDSHAKE: i16 = 17;
/// ApiVersions, whose response never has tagged fields in its header, and which a broker that does
/// not know the version answers in version 0 (KIP-511).
pub(super) const API_VERSIONS: i16 = 18;

/// An API.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) name: &'static str,
    /// Its messages, where they are described. Of the others, which brokers and controllers send
    /// each other for the most part, the header is enough.
    pub(super) body: Option<&'static Body>,
}

/// The API with that key.
pub(super) fn find(key: i16) -> Option<&'static Api> {
    APIS.get(usize::try_from(key).ok()?)
}

/// The description of one version of an API.
pub(super) fn body(key: i16, version: i16) -> Option<&'static Body> {
    find(key)?.body.filter(|b| (0..=b.latest).contains(&version))
}

/// The APIs whose messages are described, with their keys.
#[cfg(test)]
pub(super) fn described() -> impl Iterator<Item = (i16, &'static Body)> {
    (0..).zip(APIS).filter_map(|(key, api)| Some((key, api.body?)))
}

const fn with(name: &'static str, body: &'static Body) -> Api {
    Api { name, body: Some(body) }
}

const fn named(name: &'static str) -> Api {
    Api { name, body: None }
}

static APIS: &[Api] = &[
    with("PRODUCE", &s::PRODUCE),
    with("FETCH", &s::FETCH),
    with("LIST_OFFSETS", &s::LIST_OFFSETS),
    with("METADATA", &s::METADATA),
    named("LEADER_AND_ISR"),
    named("STOP_REPLICA"),
    named("UPDATE_METADATA"),
    named("CONTROLLED_SHUTDOWN"),
    with("OFFSET_COMMIT", &s::OFFSET_COMMIT),
    with("OFFSET_FETCH", &s::OFFSET_FETCH),
    with("FIND_COORDINATOR", &s::FIND_COORDINATOR),
    with("JOIN_GROUP", &s::JOIN_GROUP),
    with("HEARTBEAT", &s::HEARTBEAT),
    with("LEAVE_GROUP", &s::LEAVE_GROUP),
    with("SYNC_GROUP", &s::SYNC_GROUP),
    with("DESCRIBE_GROUPS", &s::DESCRIBE_GROUPS),
    with("LIST_GROUPS", &s::LIST_GROUPS),
    with("SASL_HANDSHAKE", &s::SASL_HANDSHAKE),
    with("API_VERSIONS", &s::API_VERSIONS),
    with("CREATE_TOPICS", &s::CREATE_TOPICS),
    with("DELETE_TOPICS", &s::DELETE_TOPICS),
    with("DELETE_RECORDS", &s::DELETE_RECORDS),
    with("INIT_PRODUCER_ID", &s::INIT_PRODUCER_ID),
    with("OFFSET_FOR_LEADER_EPOCH", &s::OFFSET_FOR_LEADER_EPOCH),
    with("ADD_PARTITIONS_TO_TXN", &s::ADD_PARTITIONS_TO_TXN),
    with("ADD_OFFSETS_TO_TXN", &s::ADD_OFFSETS_TO_TXN),
    with("END_TXN", &s::END_TXN),
    with("WRITE_TXN_MARKERS", &s::WRITE_TXN_MARKERS),
    with("TXN_OFFSET_COMMIT", &s::TXN_OFFSET_COMMIT),
    with("DESCRIBE_ACLS", &s::DESCRIBE_ACLS),
    with("CREATE_ACLS", &s::CREATE_ACLS),
    with("DELETE_ACLS", &s::DELETE_ACLS),
    with("DESCRIBE_CONFIGS", &s::DESCRIBE_CONFIGS),
    with("ALTER_CONFIGS", &s::ALTER_CONFIGS),
    with("ALTER_REPLICA_LOG_DIRS", &s::ALTER_REPLICA_LOG_DIRS),
    with("DESCRIBE_LOG_DIRS", &s::DESCRIBE_LOG_DIRS),
    with("SASL_AUTHENTICATE", &s::SASL_AUTHENTICATE),
    with("CREATE_PARTITIONS", &s::CREATE_PARTITIONS),
    with("CREATE_DELEGATION_TOKEN", &s::CREATE_DELEGATION_TOKEN),
    with("RENEW_DELEGATION_TOKEN", &s::RENEW_DELEGATION_TOKEN),
    with("EXPIRE_DELEGATION_TOKEN", &s::EXPIRE_DELEGATION_TOKEN),
    with("DESCRIBE_DELEGATION_TOKEN", &s::DESCRIBE_DELEGATION_TOKEN),
    with("DELETE_GROUPS", &s::DELETE_GROUPS),
    with("ELECT_LEADERS", &s::ELECT_LEADERS),
    with("INCREMENTAL_ALTER_CONFIGS", &s::INCREMENTAL_ALTER_CONFIGS),
    with("ALTER_PARTITION_REASSIGNMENTS", &s::ALTER_PARTITION_REASSIGNMENTS),
    with("LIST_PARTITION_REASSIGNMENTS", &s::LIST_PARTITION_REASSIGNMENTS),
    with("OFFSET_DELETE", &s::OFFSET_DELETE),
    with("DESCRIBE_CLIENT_QUOTAS", &s::DESCRIBE_CLIENT_QUOTAS),
    with("ALTER_CLIENT_QUOTAS", &s::ALTER_CLIENT_QUOTAS),
    with("DESCRIBE_USER_SCRAM_CREDENTIALS", &s::DESCRIBE_USER_SCRAM_CREDENTIALS),
    with("ALTER_USER_SCRAM_CREDENTIALS", &s::ALTER_USER_SCRAM_CREDENTIALS),
    named("VOTE"),
    named("BEGIN_QUORUM_EPOCH"),
    named("END_QUORUM_EPOCH"),
    with("DESCRIBE_QUORUM", &s::DESCRIBE_QUORUM),
    named("ALTER_PARTITION"),
    with("UPDATE_FEATURES", &s::UPDATE_FEATURES),
    named("ENVELOPE"),
    named("FETCH_SNAPSHOT"),
    with("DESCRIBE_CLUSTER", &s::DESCRIBE_CLUSTER),
    with("DESCRIBE_PRODUCERS", &s::DESCRIBE_PRODUCERS),
    named("BROKER_REGISTRATION"),
    named("BROKER_HEARTBEAT"),
    named("UNREGISTER_BROKER"),
    with("DESCRIBE_TRANSACTIONS", &s::DESCRIBE_TRANSACTIONS),
    with("LIST_TRANSACTIONS", &s::LIST_TRANSACTIONS),
    named("ALLOCATE_PRODUCER_IDS"),
    with("CONSUMER_GROUP_HEARTBEAT", &s::CONSUMER_GROUP_HEARTBEAT),
    with("CONSUMER_GROUP_DESCRIBE", &s::CONSUMER_GROUP_DESCRIBE),
    named("CONTROLLER_REGISTRATION"),
    with("GET_TELEMETRY_SUBSCRIPTIONS", &s::GET_TELEMETRY_SUBSCRIPTIONS),
    with("PUSH_TELEMETRY", &s::PUSH_TELEMETRY),
    named("ASSIGN_REPLICAS_TO_DIRS"),
    with("LIST_CONFIG_RESOURCES", &s::LIST_CONFIG_RESOURCES),
    with("DESCRIBE_TOPIC_PARTITIONS", &s::DESCRIBE_TOPIC_PARTITIONS),
    named("SHARE_GROUP_HEARTBEAT"),
    named("SHARE_GROUP_DESCRIBE"),
    named("SHARE_FETCH"),
    named("SHARE_ACKNOWLEDGE"),
    named("ADD_RAFT_VOTER"),
    named("REMOVE_RAFT_VOTER"),
    named("UPDATE_RAFT_VOTER"),
    named("INITIALIZE_SHARE_GROUP_STATE"),
    named("READ_SHARE_GROUP_STATE"),
    named("WRITE_SHARE_GROUP_STATE"),
    named("DELETE_SHARE_GROUP_STATE"),
    named("READ_SHARE_GROUP_STATE_SUMMARY"),
    named("STREAMS_GROUP_HEARTBEAT"),
    named("STREAMS_GROUP_DESCRIBE"),
    named("DESCRIBE_SHARE_GROUP_OFFSETS"),
    named("ALTER_SHARE_GROUP_OFFSETS"),
    named("DELETE_SHARE_GROUP_OFFSETS"),
];

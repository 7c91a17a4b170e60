//! Error codes of servers (`src/mongo/base/error_codes.yml` of MongoDB).

/// A code, its name, and whether it blames the client.
type Code = (i64, &'static str, bool);

/// Sorted by code.
static CODES: &[Code] = &[
    (1, "InternalError", false),
    (2, "BadValue", true),
    (4, "NoSuchKey", true),
    (6, "HostUnreachable", false),
    (7, "HostNotFound", false),
    (8, "UnknownError", false),
    (9, "FailedToParse", true),
    (11, "UserNotFound", true),
    (13, "Unauthorized", true),
    (14, "TypeMismatch", true),
    (15, "Overflow", true),
    (16, "InvalidLength", true),
    (17, "ProtocolError", true),
    (18, "AuthenticationFailed", true),
    (20, "IllegalOperation", true),
    (22, "InvalidBSON", true),
    (24, "LockTimeout", false),
    (26, "NamespaceNotFound", true),
    (27, "IndexNotFound", true),
    (28, "PathNotViable", true),
    (31, "RoleNotFound", true),
    (40, "ConflictingUpdateOperators", true),
    (43, "CursorNotFound", true),
    (48, "NamespaceExists", true),
    (50, "MaxTimeMSExpired", false),
    (51, "ManualInterventionRequired", false),
    (52, "DollarPrefixedFieldName", true),
    (53, "InvalidIdField", true),
    (54, "NotSingleValueField", true),
    (55, "InvalidDBRef", true),
    (56, "EmptyFieldName", true),
    (57, "DottedFieldName", true),
    (59, "CommandNotFound", true),
    (61, "ShardKeyNotFound", true),
    (63, "StaleShardVersion", false),
    (64, "WriteConcernFailed", false),
    (65, "MultipleErrorsOccurred", false),
    (66, "ImmutableField", true),
    (67, "CannotCreateIndex", true),
    (68, "IndexAlreadyExists", true),
    (70, "ShardNotFound", false),
    (72, "InvalidOptions", true),
    (73, "InvalidNamespace", true),
    (74, "NodeNotFound", false),
    (76, "NoReplicationEnabled", false),
    (79, "UnknownReplWriteConcern", true),
    (85, "IndexOptionsConflict", true),
    (86, "IndexKeySpecsConflict", true),
    (89, "NetworkTimeout", false),
    (91, "ShutdownInProgress", false),
    (94, "NotYetInitialized", false),
    (95, "NotSecondary", false),
    (96, "OperationFailed", false),
    (100, "UnsatisfiableWriteConcern", false),
    (112, "WriteConflict", false),
    (115, "CommandNotSupported", true),
    (117, "ConflictingOperationInProgress", false),
    (121, "DocumentValidationFailure", true),
    (125, "CommandFailed", false),
    (133, "FailedToSatisfyReadPreference", false),
    (136, "CappedPositionLost", false),
    (146, "ExceededMemoryLimit", false),
    (166, "CommandNotSupportedOnView", true),
    (175, "QueryPlanKilled", false),
    (189, "PrimarySteppedDown", false),
    (197, "InvalidIndexSpecificationOption", true),
    (202, "NetworkInterfaceExceededTimeLimit", false),
    (206, "NoSuchSession", true),
    (211, "KeyNotFound", false),
    (222, "CloseChangeStream", false),
    (225, "TransactionTooOld", true),
    (237, "CursorKilled", false),
    (239, "SnapshotTooOld", false),
    (244, "TransactionAborted", false),
    (246, "SnapshotUnavailable", false),
    (251, "NoSuchTransaction", true),
    (256, "TransactionCommitted", true),
    (262, "ExceededTimeLimit", false),
    (263, "OperationNotSupportedInTransaction", true),
    (280, "ChangeStreamFatalError", false),
    (286, "ChangeStreamHistoryLost", false),
    (292, "QueryExceededMemoryLimitNoDiskUseAllowed", false),
    (322, "APIStrictError", true),
    (323, "APIDeprecationError", true),
    (391, "ReauthenticationRequired", true),
    (9001, "SocketException", false),
    (10003, "CannotGrowDocumentInCappedNamespace", true),
    (10107, "NotWritablePrimary", false),
    (10334, "BSONObjectTooLarge", true),
    (11000, "DuplicateKey", true),
    (11600, "InterruptedAtShutdown", false),
    (11601, "Interrupted", false),
    (11602, "InterruptedDueToReplStateChange", false),
    (13388, "StaleConfig", false),
    (13435, "NotPrimaryNoSecondaryOk", false),
    (13436, "NotPrimaryOrSecondary", false),
];

fn find(code: i64) -> Option<&'static Code> {
    CODES.binary_search_by_key(&code, |c| c.0).ok().and_then(|i| CODES.get(i))
}

/// The name of a code, for errors that come without.
pub(super) fn name(code: i64) -> Option<&'static str> {
    find(code).map(|c| c.1)
}

/// True when the code says that the request was wrong.
pub(super) fn blames_client(code: i64) -> bool {
    find(code).is_some_and(|c| c.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted() {
        assert!(CODES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!((name(11_000), name(3)), (Some("DuplicateKey"), None));
        assert!(blames_client(13) && !blames_client(112));
    }
}

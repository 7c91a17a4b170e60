//! Quotas, features, the quorum of controllers, and transactions as administrators see them.

use super::Mark::{Error, Partition, Throttle, Topic, Transaction};
use super::{
    ALL, Body, array, boolean, float64, int8, int16, int32, int64, since, string, uint16, until, uuid,
};

/// DescribeClientQuotas.
pub(in crate::kafka) static DESCRIBE_CLIENT_QUOTAS: Body = Body {
    latest: 1,
    flexible: 1,
    request: &[
        array("components", ALL, &[string("entityType", ALL), int8("matchType", ALL), string("match", ALL)]),
        boolean("strict", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        array(
            "entries",
            ALL,
            &[
                array("entity", ALL, &[string("entityType", ALL), string("entityName", ALL)]),
                array("values", ALL, &[string("key", ALL), float64("value", ALL)]),
            ],
        ),
    ],
};

/// AlterClientQuotas.
pub(in crate::kafka) static ALTER_CLIENT_QUOTAS: Body = Body {
    latest: 1,
    flexible: 1,
    request: &[
        array(
            "entries",
            ALL,
            &[
                array("entity", ALL, &[string("entityType", ALL), string("entityName", ALL)]),
                array("ops", ALL, &[string("key", ALL), float64("value", ALL), boolean("remove", ALL)]),
            ],
        ),
        boolean("validateOnly", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "entries",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                array("entity", ALL, &[string("entityType", ALL), string("entityName", ALL)]),
            ],
        ),
    ],
};

/// DescribeQuorum.
pub(in crate::kafka) static DESCRIBE_QUORUM: Body = Body {
    latest: 2,
    flexible: 0,
    request: &[array(
        "topics",
        ALL,
        &[
            string("topicName", ALL).is(Topic),
            array("partitions", ALL, &[int32("partitionIndex", ALL).is(Partition)]),
        ],
    )],
    response: &[
        int16("errorCode", ALL).is(Error),
        string("errorMessage", since(2)),
        array(
            "topics",
            ALL,
            &[
                string("topicName", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partitionIndex", ALL).is(Partition),
                        int16("errorCode", ALL).is(Error),
                        string("errorMessage", since(2)),
                        int32("leaderId", ALL),
                        int32("leaderEpoch", ALL),
                        int64("highWatermark", ALL),
                        array(
                            "currentVoters",
                            ALL,
                            &[
                                int32("replicaId", ALL),
                                uuid("replicaDirectoryId", since(2)),
                                int64("logEndOffset", ALL),
                                int64("lastFetchTimestamp", since(1)),
                                int64("lastCaughtUpTimestamp", since(1)),
                            ],
                        ),
                        array(
                            "observers",
                            ALL,
                            &[
                                int32("replicaId", ALL),
                                uuid("replicaDirectoryId", since(2)),
                                int64("logEndOffset", ALL),
                                int64("lastFetchTimestamp", since(1)),
                                int64("lastCaughtUpTimestamp", since(1)),
                            ],
                        ),
                    ],
                ),
            ],
        ),
        array(
            "nodes",
            since(2),
            &[
                int32("nodeId", since(2)),
                array(
                    "listeners",
                    since(2),
                    &[string("name", since(2)), string("host", since(2)), uint16("port", since(2))],
                ),
            ],
        ),
    ],
};

/// UpdateFeatures.
pub(in crate::kafka) static UPDATE_FEATURES: Body = Body {
    latest: 2,
    flexible: 0,
    request: &[
        int32("timeoutMs", ALL),
        array(
            "featureUpdates",
            ALL,
            &[
                string("feature", ALL),
                int16("maxVersionLevel", ALL),
                boolean("allowDowngrade", until(0)),
                int8("upgradeType", since(1)),
            ],
        ),
        boolean("validateOnly", since(1)),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        array(
            "results",
            until(1),
            &[string("feature", ALL), int16("errorCode", ALL).is(Error), string("errorMessage", ALL)],
        ),
    ],
};

/// DescribeProducers.
pub(in crate::kafka) static DESCRIBE_PRODUCERS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[array(
        "topics",
        ALL,
        &[string("name", ALL).is(Topic), array("partitionIndexes", ALL, &[int32("", ALL).is(Partition)])],
    )],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partitionIndex", ALL).is(Partition),
                        int16("errorCode", ALL).is(Error),
                        string("errorMessage", ALL),
                        array(
                            "activeProducers",
                            ALL,
                            &[
                                int64("producerId", ALL),
                                int32("producerEpoch", ALL),
                                int32("lastSequence", ALL),
                                int64("lastTimestamp", ALL),
                                int32("coordinatorEpoch", ALL),
                                int64("currentTxnStartOffset", ALL),
                            ],
                        ),
                    ],
                ),
            ],
        ),
    ],
};

/// DescribeTransactions.
pub(in crate::kafka) static DESCRIBE_TRANSACTIONS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[array("transactionalIds", ALL, &[string("", ALL).is(Transaction)])],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "transactionStates",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("transactionalId", ALL).is(Transaction),
                string("transactionState", ALL),
                int32("transactionTimeoutMs", ALL),
                int64("transactionStartTimeMs", ALL),
                int64("producerId", ALL),
                int16("producerEpoch", ALL),
                array(
                    "topics",
                    ALL,
                    &[
                        string("topic", ALL).is(Topic),
                        array("partitions", ALL, &[int32("", ALL).is(Partition)]),
                    ],
                ),
            ],
        ),
    ],
};

/// ListTransactions.
pub(in crate::kafka) static LIST_TRANSACTIONS: Body = Body {
    latest: 2,
    flexible: 0,
    request: &[
        array("stateFilters", ALL, &[string("", ALL)]),
        array("producerIdFilters", ALL, &[int64("", ALL)]),
        int64("durationFilter", since(1)),
        string("transactionalIdPattern", since(2)),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        array("unknownStateFilters", ALL, &[string("", ALL)]),
        array(
            "transactionStates",
            ALL,
            &[string("transactionalId", ALL), int64("producerId", ALL), string("transactionState", ALL)],
        ),
    ],
};

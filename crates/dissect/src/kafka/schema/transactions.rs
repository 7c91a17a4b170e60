//! Producers with an identity, and transactions.

use super::Mark::{Error, Group, Partition, Throttle, Topic, Transaction};
use super::{ALL, Body, array, boolean, int8, int16, int32, int64, since, string, until};

/// InitProducerId.
pub(in crate::kafka) static INIT_PRODUCER_ID: Body = Body {
    latest: 6,
    flexible: 2,
    request: &[
        string("transactionalId", ALL).is(Transaction),
        int32("transactionTimeoutMs", ALL),
        int64("producerId", since(3)),
        int16("producerEpoch", since(3)),
        boolean("enable2Pc", since(6)),
        boolean("keepPreparedTxn", since(6)),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        int64("producerId", ALL),
        int16("producerEpoch", ALL),
        int64("ongoingTxnProducerId", since(6)),
        int16("ongoingTxnProducerEpoch", since(6)),
    ],
};

/// AddPartitionsToTxn.
pub(in crate::kafka) static ADD_PARTITIONS_TO_TXN: Body = Body {
    latest: 5,
    flexible: 3,
    request: &[
        array(
            "transactions",
            since(4),
            &[
                string("transactionalId", since(4)).is(Transaction),
                int64("producerId", since(4)),
                int16("producerEpoch", since(4)),
                boolean("verifyOnly", since(4)),
                array(
                    "topics",
                    since(4),
                    &[
                        string("name", ALL).is(Topic),
                        array("partitions", ALL, &[int32("", ALL).is(Partition)]),
                    ],
                ),
            ],
        ),
        string("v3AndBelowTransactionalId", until(3)).is(Transaction),
        int64("v3AndBelowProducerId", until(3)),
        int16("v3AndBelowProducerEpoch", until(3)),
        array(
            "v3AndBelowTopics",
            until(3),
            &[string("name", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
        ),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", since(4)).is(Error),
        array(
            "resultsByTransaction",
            since(4),
            &[
                string("transactionalId", since(4)).is(Transaction),
                array(
                    "topicResults",
                    since(4),
                    &[
                        string("name", ALL).is(Topic),
                        array(
                            "resultsByPartition",
                            ALL,
                            &[
                                int32("partitionIndex", ALL).is(Partition),
                                int16("partitionErrorCode", ALL).is(Error),
                            ],
                        ),
                    ],
                ),
            ],
        ),
        array(
            "resultsByTopicV3AndBelow",
            until(3),
            &[
                string("name", ALL).is(Topic),
                array(
                    "resultsByPartition",
                    ALL,
                    &[int32("partitionIndex", ALL).is(Partition), int16("partitionErrorCode", ALL).is(Error)],
                ),
            ],
        ),
    ],
};

/// AddOffsetsToTxn.
pub(in crate::kafka) static ADD_OFFSETS_TO_TXN: Body = Body {
    latest: 4,
    flexible: 3,
    request: &[
        string("transactionalId", ALL).is(Transaction),
        int64("producerId", ALL),
        int16("producerEpoch", ALL),
        string("groupId", ALL).is(Group),
    ],
    response: &[int32("throttleTimeMs", ALL).is(Throttle), int16("errorCode", ALL).is(Error)],
};

/// EndTxn.
pub(in crate::kafka) static END_TXN: Body = Body {
    latest: 5,
    flexible: 3,
    request: &[
        string("transactionalId", ALL).is(Transaction),
        int64("producerId", ALL),
        int16("producerEpoch", ALL),
        boolean("committed", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        int64("producerId", since(5)),
        int16("producerEpoch", since(5)),
    ],
};

/// WriteTxnMarkers.
pub(in crate::kafka) static WRITE_TXN_MARKERS: Body = Body {
    latest: 2,
    flexible: 1,
    request: &[array(
        "markers",
        ALL,
        &[
            int64("producerId", ALL),
            int16("producerEpoch", ALL),
            boolean("transactionResult", ALL),
            array(
                "topics",
                ALL,
                &[
                    string("name", ALL).is(Topic),
                    array("partitionIndexes", ALL, &[int32("", ALL).is(Partition)]),
                ],
            ),
            int32("coordinatorEpoch", ALL),
            int8("transactionVersion", since(2)),
        ],
    )],
    response: &[array(
        "markers",
        ALL,
        &[
            int64("producerId", ALL),
            array(
                "topics",
                ALL,
                &[
                    string("name", ALL).is(Topic),
                    array(
                        "partitions",
                        ALL,
                        &[int32("partitionIndex", ALL).is(Partition), int16("errorCode", ALL).is(Error)],
                    ),
                ],
            ),
        ],
    )],
};

/// TxnOffsetCommit.
pub(in crate::kafka) static TXN_OFFSET_COMMIT: Body = Body {
    latest: 5,
    flexible: 3,
    request: &[
        string("transactionalId", ALL).is(Transaction),
        string("groupId", ALL).is(Group),
        int64("producerId", ALL),
        int16("producerEpoch", ALL),
        int32("generationId", since(3)),
        string("memberId", since(3)),
        string("groupInstanceId", since(3)),
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
                        int64("committedOffset", ALL),
                        int32("committedLeaderEpoch", since(2)),
                        string("committedMetadata", ALL),
                    ],
                ),
            ],
        ),
    ],
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
                    &[int32("partitionIndex", ALL).is(Partition), int16("errorCode", ALL).is(Error)],
                ),
            ],
        ),
    ],
};

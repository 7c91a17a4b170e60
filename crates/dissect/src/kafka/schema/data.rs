//! Records: what producers write and consumers read.

use super::Mark::{Acks, Error, Partition, Throttle, Topic, TopicId, Transaction};
use super::{
    ALL, Body, array, between, int8, int16, int32, int64, records, since, string, structure, until, uuid,
};

/// Produce.
pub(in crate::kafka) static PRODUCE: Body = Body {
    latest: 13,
    flexible: 9,
    request: &[
        string("transactionalId", since(3)).is(Transaction),
        int16("acks", ALL).is(Acks),
        int32("timeoutMs", ALL),
        array(
            "topicData",
            ALL,
            &[
                string("name", until(12)).is(Topic),
                uuid("topicId", since(13)).is(TopicId),
                array("partitionData", ALL, &[int32("index", ALL).is(Partition), records("records", ALL)]),
            ],
        ),
    ],
    response: &[
        array(
            "responses",
            ALL,
            &[
                string("name", until(12)).is(Topic),
                uuid("topicId", since(13)).is(TopicId),
                array(
                    "partitionResponses",
                    ALL,
                    &[
                        int32("index", ALL).is(Partition),
                        int16("errorCode", ALL).is(Error),
                        int64("baseOffset", ALL),
                        int64("logAppendTimeMs", since(2)),
                        int64("logStartOffset", since(5)),
                        array(
                            "recordErrors",
                            since(8),
                            &[int32("batchIndex", since(8)), string("batchIndexErrorMessage", since(8))],
                        ),
                        string("errorMessage", since(8)),
                        structure(
                            "currentLeader",
                            since(10),
                            &[int32("leaderId", since(10)), int32("leaderEpoch", since(10))],
                        )
                        .tagged(0),
                    ],
                ),
            ],
        ),
        int32("throttleTimeMs", since(1)).is(Throttle),
        array(
            "nodeEndpoints",
            since(10),
            &[
                int32("nodeId", since(10)),
                string("host", since(10)),
                int32("port", since(10)),
                string("rack", since(10)),
            ],
        )
        .tagged(0),
    ],
};

/// Fetch.
pub(in crate::kafka) static FETCH: Body = Body {
    latest: 18,
    flexible: 12,
    request: &[
        string("clusterId", since(12)).tagged(0),
        int32("replicaId", until(14)),
        structure(
            "replicaState",
            since(15),
            &[int32("replicaId", since(15)), int64("replicaEpoch", since(15))],
        )
        .tagged(1),
        int32("maxWaitMs", ALL),
        int32("minBytes", ALL),
        int32("maxBytes", since(3)),
        int8("isolationLevel", since(4)),
        int32("sessionId", since(7)),
        int32("sessionEpoch", since(7)),
        array(
            "topics",
            ALL,
            &[
                string("topic", until(12)).is(Topic),
                uuid("topicId", since(13)).is(TopicId),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partition", ALL).is(Partition),
                        int32("currentLeaderEpoch", since(9)),
                        int64("fetchOffset", ALL),
                        int32("lastFetchedEpoch", since(12)),
                        int64("logStartOffset", since(5)),
                        int32("partitionMaxBytes", ALL),
                        uuid("replicaDirectoryId", since(17)).tagged(0),
                        int64("highWatermark", since(18)).tagged(1),
                    ],
                ),
            ],
        ),
        array(
            "forgottenTopicsData",
            since(7),
            &[
                string("topic", between(7, 12)).is(Topic),
                uuid("topicId", since(13)).is(TopicId),
                array("partitions", since(7), &[int32("", ALL).is(Partition)]),
            ],
        ),
        string("rackId", since(11)),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        int16("errorCode", since(7)).is(Error),
        int32("sessionId", since(7)),
        array(
            "responses",
            ALL,
            &[
                string("topic", until(12)).is(Topic),
                uuid("topicId", since(13)).is(TopicId),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partitionIndex", ALL).is(Partition),
                        int16("errorCode", ALL).is(Error),
                        int64("highWatermark", ALL),
                        int64("lastStableOffset", since(4)),
                        int64("logStartOffset", since(5)),
                        structure(
                            "divergingEpoch",
                            since(12),
                            &[int32("epoch", since(12)), int64("endOffset", since(12))],
                        )
                        .tagged(0),
                        structure(
                            "currentLeader",
                            since(12),
                            &[int32("leaderId", since(12)), int32("leaderEpoch", since(12))],
                        )
                        .tagged(1),
                        structure("snapshotId", since(12), &[int64("endOffset", ALL), int32("epoch", ALL)])
                            .tagged(2),
                        array(
                            "abortedTransactions",
                            since(4),
                            &[int64("producerId", since(4)), int64("firstOffset", since(4))],
                        ),
                        int32("preferredReadReplica", since(11)),
                        records("records", ALL),
                    ],
                ),
            ],
        ),
        array(
            "nodeEndpoints",
            since(16),
            &[
                int32("nodeId", since(16)),
                string("host", since(16)),
                int32("port", since(16)),
                string("rack", since(16)),
            ],
        )
        .tagged(0),
    ],
};

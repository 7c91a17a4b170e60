//! Offsets: those that groups of consumers have committed, and those that a log has.

use super::Mark::{Error, Group, Partition, Throttle, Topic, TopicId};
use super::{ALL, Body, array, between, boolean, int8, int16, int32, int64, since, string, until, uuid};

/// OffsetCommit.
pub(in crate::kafka) static OFFSET_COMMIT: Body = Body {
    latest: 10,
    flexible: 8,
    request: &[
        string("groupId", ALL).is(Group),
        int32("generationIdOrMemberEpoch", since(1)),
        string("memberId", since(1)),
        string("groupInstanceId", since(7)),
        int64("retentionTimeMs", between(2, 4)),
        array(
            "topics",
            ALL,
            &[
                string("name", until(9)).is(Topic),
                uuid("topicId", since(10)).is(TopicId),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partitionIndex", ALL).is(Partition),
                        int64("committedOffset", ALL),
                        int32("committedLeaderEpoch", since(6)),
                        int64("commitTimestamp", between(1, 1)),
                        string("committedMetadata", ALL),
                    ],
                ),
            ],
        ),
    ],
    response: &[
        int32("throttleTimeMs", since(3)).is(Throttle),
        array(
            "topics",
            ALL,
            &[
                string("name", until(9)).is(Topic),
                uuid("topicId", since(10)).is(TopicId),
                array(
                    "partitions",
                    ALL,
                    &[int32("partitionIndex", ALL).is(Partition), int16("errorCode", ALL).is(Error)],
                ),
            ],
        ),
    ],
};

/// OffsetFetch.
pub(in crate::kafka) static OFFSET_FETCH: Body = Body {
    latest: 10,
    flexible: 6,
    request: &[
        string("groupId", until(7)).is(Group),
        array(
            "topics",
            until(7),
            &[
                string("name", until(7)).is(Topic),
                array("partitionIndexes", until(7), &[int32("", ALL).is(Partition)]),
            ],
        ),
        array(
            "groups",
            since(8),
            &[
                string("groupId", since(8)).is(Group),
                string("memberId", since(9)),
                int32("memberEpoch", since(9)),
                array(
                    "topics",
                    since(8),
                    &[
                        string("name", between(8, 9)).is(Topic),
                        uuid("topicId", since(10)).is(TopicId),
                        array("partitionIndexes", since(8), &[int32("", ALL).is(Partition)]),
                    ],
                ),
            ],
        ),
        boolean("requireStable", since(7)),
    ],
    response: &[
        int32("throttleTimeMs", since(3)).is(Throttle),
        array(
            "topics",
            until(7),
            &[
                string("name", until(7)).is(Topic),
                array(
                    "partitions",
                    until(7),
                    &[
                        int32("partitionIndex", until(7)).is(Partition),
                        int64("committedOffset", until(7)),
                        int32("committedLeaderEpoch", between(5, 7)),
                        string("metadata", until(7)),
                        int16("errorCode", until(7)).is(Error),
                    ],
                ),
            ],
        ),
        int16("errorCode", between(2, 7)).is(Error),
        array(
            "groups",
            since(8),
            &[
                string("groupId", since(8)).is(Group),
                array(
                    "topics",
                    since(8),
                    &[
                        string("name", between(8, 9)).is(Topic),
                        uuid("topicId", since(10)).is(TopicId),
                        array(
                            "partitions",
                            since(8),
                            &[
                                int32("partitionIndex", since(8)).is(Partition),
                                int64("committedOffset", since(8)),
                                int32("committedLeaderEpoch", since(8)),
                                string("metadata", since(8)),
                                int16("errorCode", since(8)).is(Error),
                            ],
                        ),
                    ],
                ),
                int16("errorCode", since(8)).is(Error),
            ],
        ),
    ],
};

/// ListOffsets.
pub(in crate::kafka) static LIST_OFFSETS: Body = Body {
    latest: 11,
    flexible: 6,
    request: &[
        int32("replicaId", ALL),
        int8("isolationLevel", since(2)),
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
                        int32("currentLeaderEpoch", since(4)),
                        int64("timestamp", ALL),
                        int32("maxNumOffsets", until(0)),
                    ],
                ),
            ],
        ),
        int32("timeoutMs", since(10)),
    ],
    response: &[
        int32("throttleTimeMs", since(2)).is(Throttle),
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
                        array("oldStyleOffsets", until(0), &[int64("", ALL)]),
                        int64("timestamp", since(1)),
                        int64("offset", since(1)),
                        int32("leaderEpoch", since(4)),
                    ],
                ),
            ],
        ),
    ],
};

/// OffsetForLeaderEpoch.
pub(in crate::kafka) static OFFSET_FOR_LEADER_EPOCH: Body = Body {
    latest: 4,
    flexible: 4,
    request: &[
        int32("replicaId", since(3)),
        array(
            "topics",
            ALL,
            &[
                string("topic", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[
                        int32("partition", ALL).is(Partition),
                        int32("currentLeaderEpoch", since(2)),
                        int32("leaderEpoch", ALL),
                    ],
                ),
            ],
        ),
    ],
    response: &[
        int32("throttleTimeMs", since(2)).is(Throttle),
        array(
            "topics",
            ALL,
            &[
                string("topic", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[
                        int16("errorCode", ALL).is(Error),
                        int32("partition", ALL).is(Partition),
                        int32("leaderEpoch", since(1)),
                        int64("endOffset", ALL),
                    ],
                ),
            ],
        ),
    ],
};

/// DeleteRecords.
pub(in crate::kafka) static DELETE_RECORDS: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                array("partitions", ALL, &[int32("partitionIndex", ALL).is(Partition), int64("offset", ALL)]),
            ],
        ),
        int32("timeoutMs", ALL),
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
                    &[
                        int32("partitionIndex", ALL).is(Partition),
                        int64("lowWatermark", ALL),
                        int16("errorCode", ALL).is(Error),
                    ],
                ),
            ],
        ),
    ],
};

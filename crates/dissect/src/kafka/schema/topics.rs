//! Topics and partitions as administrators make and change them.

use super::Mark::{ConfigName, ConfigValue, Error, Partition, Throttle, Topic, TopicId};
use super::{ALL, Body, array, boolean, int8, int16, int32, since, string, until, uuid};

/// CreateTopics.
pub(in crate::kafka) static CREATE_TOPICS: Body = Body {
    latest: 7,
    flexible: 5,
    request: &[
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                int32("numPartitions", ALL),
                int16("replicationFactor", ALL),
                array(
                    "assignments",
                    ALL,
                    &[int32("partitionIndex", ALL), array("brokerIds", ALL, &[int32("", ALL)])],
                ),
                array(
                    "configs",
                    ALL,
                    &[string("name", ALL).is(ConfigName), string("value", ALL).is(ConfigValue)],
                ),
            ],
        ),
        int32("timeoutMs", ALL),
        boolean("validateOnly", since(1)),
    ],
    response: &[
        int32("throttleTimeMs", since(2)).is(Throttle),
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                uuid("topicId", since(7)).is(TopicId),
                int16("errorCode", ALL).is(Error),
                string("errorMessage", since(1)),
                int16("topicConfigErrorCode", since(5)).tagged(0),
                int32("numPartitions", since(5)),
                int16("replicationFactor", since(5)),
                array(
                    "configs",
                    since(5),
                    &[
                        string("name", since(5)).is(ConfigName),
                        string("value", since(5)).is(ConfigValue),
                        boolean("readOnly", since(5)),
                        int8("configSource", since(5)),
                        boolean("isSensitive", since(5)),
                    ],
                ),
            ],
        ),
    ],
};

/// DeleteTopics.
pub(in crate::kafka) static DELETE_TOPICS: Body = Body {
    latest: 6,
    flexible: 4,
    request: &[
        array(
            "topics",
            since(6),
            &[string("name", since(6)).is(Topic), uuid("topicId", since(6)).is(TopicId)],
        ),
        array("topicNames", until(5), &[string("", ALL).is(Topic)]),
        int32("timeoutMs", ALL),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        array(
            "responses",
            ALL,
            &[
                string("name", ALL).is(Topic),
                uuid("topicId", since(6)).is(TopicId),
                int16("errorCode", ALL).is(Error),
                string("errorMessage", since(5)),
            ],
        ),
    ],
};

/// CreatePartitions.
pub(in crate::kafka) static CREATE_PARTITIONS: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                int32("count", ALL),
                array("assignments", ALL, &[array("brokerIds", ALL, &[int32("", ALL)])]),
            ],
        ),
        int32("timeoutMs", ALL),
        boolean("validateOnly", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "results",
            ALL,
            &[string("name", ALL).is(Topic), int16("errorCode", ALL).is(Error), string("errorMessage", ALL)],
        ),
    ],
};

/// ElectLeaders.
pub(in crate::kafka) static ELECT_LEADERS: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[
        int8("electionType", since(1)),
        array(
            "topicPartitions",
            ALL,
            &[string("topic", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
        ),
        int32("timeoutMs", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", since(1)).is(Error),
        array(
            "replicaElectionResults",
            ALL,
            &[
                string("topic", ALL).is(Topic),
                array(
                    "partitionResult",
                    ALL,
                    &[
                        int32("partitionId", ALL).is(Partition),
                        int16("errorCode", ALL).is(Error),
                        string("errorMessage", ALL),
                    ],
                ),
            ],
        ),
    ],
};

/// AlterPartitionReassignments.
pub(in crate::kafka) static ALTER_PARTITION_REASSIGNMENTS: Body = Body {
    latest: 1,
    flexible: 0,
    request: &[
        int32("timeoutMs", ALL),
        boolean("allowReplicationFactorChange", since(1)),
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[int32("partitionIndex", ALL).is(Partition), array("replicas", ALL, &[int32("", ALL)])],
                ),
            ],
        ),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        boolean("allowReplicationFactorChange", since(1)),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        array(
            "responses",
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
                    ],
                ),
            ],
        ),
    ],
};

/// ListPartitionReassignments.
pub(in crate::kafka) static LIST_PARTITION_REASSIGNMENTS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[
        int32("timeoutMs", ALL),
        array(
            "topics",
            ALL,
            &[string("name", ALL).is(Topic), array("partitionIndexes", ALL, &[int32("", ALL).is(Partition)])],
        ),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
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
                        array("replicas", ALL, &[int32("", ALL)]),
                        array("addingReplicas", ALL, &[int32("", ALL)]),
                        array("removingReplicas", ALL, &[int32("", ALL)]),
                    ],
                ),
            ],
        ),
    ],
};

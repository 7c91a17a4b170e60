//! What a client asks of a cluster before anything else, and what it tells of itself.

use super::Mark::{Error, Summary, Throttle, Topic, TopicId};
use super::{
    ALL, Body, array, between, boolean, bytes, int8, int16, int32, int64, nullable, since, string, uuid,
};

/// Metadata.
pub(in crate::kafka) static METADATA: Body = Body {
    latest: 13,
    flexible: 9,
    request: &[
        array("topics", ALL, &[uuid("topicId", since(10)).is(TopicId), string("name", ALL).is(Topic)]),
        boolean("allowAutoTopicCreation", since(4)),
        boolean("includeClusterAuthorizedOperations", between(8, 10)),
        boolean("includeTopicAuthorizedOperations", since(8)),
    ],
    response: &[
        int32("throttleTimeMs", since(3)).is(Throttle),
        array(
            "brokers",
            ALL,
            &[int32("nodeId", ALL), string("host", ALL), int32("port", ALL), string("rack", since(1))],
        ),
        string("clusterId", since(2)),
        int32("controllerId", since(1)),
        array(
            "topics",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("name", ALL).is(Topic),
                uuid("topicId", since(10)).is(TopicId),
                boolean("isInternal", since(1)),
                array(
                    "partitions",
                    ALL,
                    &[
                        int16("errorCode", ALL).is(Error),
                        int32("partitionIndex", ALL),
                        int32("leaderId", ALL),
                        int32("leaderEpoch", since(7)),
                        array("replicaNodes", ALL, &[int32("", ALL)]),
                        array("isrNodes", ALL, &[int32("", ALL)]),
                        array("offlineReplicas", since(5), &[int32("", ALL)]),
                    ],
                ),
                int32("topicAuthorizedOperations", since(8)),
            ],
        ),
        int32("clusterAuthorizedOperations", between(8, 10)),
        int16("errorCode", since(13)).is(Error),
    ],
};

/// ApiVersions.
pub(in crate::kafka) static API_VERSIONS: Body = Body {
    latest: 4,
    flexible: 3,
    request: &[string("clientSoftwareName", since(3)).is(Summary), string("clientSoftwareVersion", since(3))],
    response: &[
        int16("errorCode", ALL).is(Error),
        array("apiKeys", ALL, &[int16("apiKey", ALL), int16("minVersion", ALL), int16("maxVersion", ALL)]),
        int32("throttleTimeMs", since(1)).is(Throttle),
        array(
            "supportedFeatures",
            since(3),
            &[string("name", since(3)), int16("minVersion", since(3)), int16("maxVersion", since(3))],
        )
        .tagged(0),
        int64("finalizedFeaturesEpoch", since(3)).tagged(1),
        array(
            "finalizedFeatures",
            since(3),
            &[
                string("name", since(3)),
                int16("maxVersionLevel", since(3)),
                int16("minVersionLevel", since(3)),
            ],
        )
        .tagged(2),
        boolean("zkMigrationReady", since(3)).tagged(3),
    ],
};

/// DescribeCluster.
pub(in crate::kafka) static DESCRIBE_CLUSTER: Body = Body {
    latest: 2,
    flexible: 0,
    request: &[
        boolean("includeClusterAuthorizedOperations", ALL),
        int8("endpointType", since(1)),
        boolean("includeFencedBrokers", since(2)),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        int8("endpointType", since(1)),
        string("clusterId", ALL),
        int32("controllerId", ALL),
        array(
            "brokers",
            ALL,
            &[
                int32("brokerId", ALL),
                string("host", ALL),
                int32("port", ALL),
                string("rack", ALL),
                boolean("isFenced", since(2)),
            ],
        ),
        int32("clusterAuthorizedOperations", ALL),
    ],
};

/// DescribeTopicPartitions.
pub(in crate::kafka) static DESCRIBE_TOPIC_PARTITIONS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[
        array("topics", ALL, &[string("name", ALL).is(Topic)]),
        int32("responsePartitionLimit", ALL),
        nullable("cursor", ALL, &[string("topicName", ALL).is(Topic), int32("partitionIndex", ALL)]),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "topics",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("name", ALL).is(Topic),
                uuid("topicId", ALL).is(TopicId),
                boolean("isInternal", ALL),
                array(
                    "partitions",
                    ALL,
                    &[
                        int16("errorCode", ALL).is(Error),
                        int32("partitionIndex", ALL),
                        int32("leaderId", ALL),
                        int32("leaderEpoch", ALL),
                        array("replicaNodes", ALL, &[int32("", ALL)]),
                        array("isrNodes", ALL, &[int32("", ALL)]),
                        array("eligibleLeaderReplicas", ALL, &[int32("", ALL)]),
                        array("lastKnownElr", ALL, &[int32("", ALL)]),
                        array("offlineReplicas", ALL, &[int32("", ALL)]),
                    ],
                ),
                int32("topicAuthorizedOperations", ALL),
            ],
        ),
        nullable("nextCursor", ALL, &[string("topicName", ALL).is(Topic), int32("partitionIndex", ALL)]),
    ],
};

/// GetTelemetrySubscriptions.
pub(in crate::kafka) static GET_TELEMETRY_SUBSCRIPTIONS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[uuid("clientInstanceId", ALL)],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        uuid("clientInstanceId", ALL),
        int32("subscriptionId", ALL),
        array("acceptedCompressionTypes", ALL, &[int8("", ALL)]),
        int32("pushIntervalMs", ALL),
        int32("telemetryMaxBytes", ALL),
        boolean("deltaTemporality", ALL),
        array("requestedMetrics", ALL, &[string("", ALL)]),
    ],
};

/// PushTelemetry.
pub(in crate::kafka) static PUSH_TELEMETRY: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[
        uuid("clientInstanceId", ALL),
        int32("subscriptionId", ALL),
        boolean("terminating", ALL),
        int8("compressionType", ALL),
        bytes("metrics", ALL),
    ],
    response: &[int32("throttleTimeMs", ALL).is(Throttle), int16("errorCode", ALL).is(Error)],
};

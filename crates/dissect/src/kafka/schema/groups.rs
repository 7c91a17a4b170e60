//! Membership in groups of consumers.

use super::Mark::{
    CoordinatorKey, CoordinatorType, Error, Group, Partition, ProtocolType, Throttle, Topic, TopicId,
};
use super::consumer::{ASSIGNMENT, SUBSCRIPTION};
use super::{
    ALL, Body, array, between, boolean, embedded, int8, int16, int32, nullable, since, string, until, uuid,
};

/// FindCoordinator.
pub(in crate::kafka) static FIND_COORDINATOR: Body = Body {
    latest: 6,
    flexible: 3,
    request: &[
        string("key", until(3)).is(CoordinatorKey),
        int8("keyType", since(1)).is(CoordinatorType),
        array("coordinatorKeys", since(4), &[string("", ALL).is(CoordinatorKey)]),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        int16("errorCode", until(3)).is(Error),
        string("errorMessage", between(1, 3)),
        int32("nodeId", until(3)),
        string("host", until(3)),
        int32("port", until(3)),
        array(
            "coordinators",
            since(4),
            &[
                string("key", since(4)),
                int32("nodeId", since(4)),
                string("host", since(4)),
                int32("port", since(4)),
                int16("errorCode", since(4)).is(Error),
                string("errorMessage", since(4)),
            ],
        ),
    ],
};

/// JoinGroup.
pub(in crate::kafka) static JOIN_GROUP: Body = Body {
    latest: 9,
    flexible: 6,
    request: &[
        string("groupId", ALL).is(Group),
        int32("sessionTimeoutMs", ALL),
        int32("rebalanceTimeoutMs", since(1)),
        string("memberId", ALL),
        string("groupInstanceId", since(5)),
        string("protocolType", ALL).is(ProtocolType),
        array("protocols", ALL, &[string("name", ALL), embedded("metadata", ALL, SUBSCRIPTION)]),
        string("reason", since(8)),
    ],
    response: &[
        int32("throttleTimeMs", since(2)).is(Throttle),
        int16("errorCode", ALL).is(Error),
        int32("generationId", ALL),
        string("protocolType", since(7)).is(ProtocolType),
        string("protocolName", ALL),
        string("leader", ALL),
        boolean("skipAssignment", since(9)),
        string("memberId", ALL),
        array(
            "members",
            ALL,
            &[
                string("memberId", ALL),
                string("groupInstanceId", since(5)),
                embedded("metadata", ALL, SUBSCRIPTION),
            ],
        ),
    ],
};

/// SyncGroup.
pub(in crate::kafka) static SYNC_GROUP: Body = Body {
    latest: 5,
    flexible: 4,
    request: &[
        string("groupId", ALL).is(Group),
        int32("generationId", ALL),
        string("memberId", ALL),
        string("groupInstanceId", since(3)),
        string("protocolType", since(5)).is(ProtocolType),
        string("protocolName", since(5)),
        array("assignments", ALL, &[string("memberId", ALL), embedded("assignment", ALL, ASSIGNMENT)]),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("protocolType", since(5)).is(ProtocolType),
        string("protocolName", since(5)),
        embedded("assignment", ALL, ASSIGNMENT),
    ],
};

/// Heartbeat.
pub(in crate::kafka) static HEARTBEAT: Body = Body {
    latest: 4,
    flexible: 4,
    request: &[
        string("groupId", ALL).is(Group),
        int32("generationId", ALL),
        string("memberId", ALL),
        string("groupInstanceId", since(3)),
    ],
    response: &[int32("throttleTimeMs", since(1)).is(Throttle), int16("errorCode", ALL).is(Error)],
};

/// LeaveGroup.
pub(in crate::kafka) static LEAVE_GROUP: Body = Body {
    latest: 5,
    flexible: 4,
    request: &[
        string("groupId", ALL).is(Group),
        string("memberId", until(2)),
        array(
            "members",
            since(3),
            &[string("memberId", since(3)), string("groupInstanceId", since(3)), string("reason", since(5))],
        ),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        int16("errorCode", ALL).is(Error),
        array(
            "members",
            since(3),
            &[
                string("memberId", since(3)),
                string("groupInstanceId", since(3)),
                int16("errorCode", since(3)).is(Error),
            ],
        ),
    ],
};

/// ConsumerGroupHeartbeat.
pub(in crate::kafka) static CONSUMER_GROUP_HEARTBEAT: Body = Body {
    latest: 1,
    flexible: 0,
    request: &[
        string("groupId", ALL).is(Group),
        string("memberId", ALL),
        int32("memberEpoch", ALL),
        string("instanceId", ALL),
        string("rackId", ALL),
        int32("rebalanceTimeoutMs", ALL),
        array("subscribedTopicNames", ALL, &[string("", ALL).is(Topic)]),
        string("subscribedTopicRegex", since(1)),
        string("serverAssignor", ALL),
        array(
            "topicPartitions",
            ALL,
            &[uuid("topicId", ALL).is(TopicId), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
        ),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        string("memberId", ALL),
        int32("memberEpoch", ALL),
        int32("heartbeatIntervalMs", ALL),
        nullable(
            "assignment",
            ALL,
            &[array(
                "topicPartitions",
                ALL,
                &[
                    uuid("topicId", ALL).is(TopicId),
                    array("partitions", ALL, &[int32("", ALL).is(Partition)]),
                ],
            )],
        ),
    ],
};

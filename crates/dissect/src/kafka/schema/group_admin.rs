//! Groups of consumers as administrators see them.

use super::Mark::{Error, Group, Partition, ProtocolType, Throttle, Topic, TopicId};
use super::consumer::{ASSIGNMENT, SUBSCRIPTION};
use super::{ALL, Body, NEVER, array, boolean, embedded, int8, int16, int32, since, string, structure, uuid};

/// ListGroups.
pub(in crate::kafka) static LIST_GROUPS: Body = Body {
    latest: 5,
    flexible: 3,
    request: &[
        array("statesFilter", since(4), &[string("", ALL)]),
        array("typesFilter", since(5), &[string("", ALL)]),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        int16("errorCode", ALL).is(Error),
        array(
            "groups",
            ALL,
            &[
                string("groupId", ALL).is(Group),
                string("protocolType", ALL),
                string("groupState", since(4)),
                string("groupType", since(5)),
            ],
        ),
    ],
};

/// DescribeGroups.
pub(in crate::kafka) static DESCRIBE_GROUPS: Body = Body {
    latest: 6,
    flexible: 5,
    request: &[
        array("groups", ALL, &[string("", ALL).is(Group)]),
        boolean("includeAuthorizedOperations", since(3)),
    ],
    response: &[
        int32("throttleTimeMs", since(1)).is(Throttle),
        array(
            "groups",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", since(6)),
                string("groupId", ALL).is(Group),
                string("groupState", ALL),
                string("protocolType", ALL).is(ProtocolType),
                string("protocolData", ALL),
                array(
                    "members",
                    ALL,
                    &[
                        string("memberId", ALL),
                        string("groupInstanceId", since(4)),
                        string("clientId", ALL),
                        string("clientHost", ALL),
                        embedded("memberMetadata", ALL, SUBSCRIPTION),
                        embedded("memberAssignment", ALL, ASSIGNMENT),
                    ],
                ),
                int32("authorizedOperations", since(3)),
            ],
        ),
    ],
};

/// ConsumerGroupDescribe.
pub(in crate::kafka) static CONSUMER_GROUP_DESCRIBE: Body = Body {
    latest: 1,
    flexible: 0,
    request: &[
        array("groupIds", ALL, &[string("", ALL).is(Group)]),
        boolean("includeAuthorizedOperations", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "groups",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                string("groupId", ALL).is(Group),
                string("groupState", ALL),
                int32("groupEpoch", ALL),
                int32("assignmentEpoch", ALL),
                string("assignorName", ALL),
                array(
                    "members",
                    ALL,
                    &[
                        string("memberId", ALL),
                        string("instanceId", ALL),
                        string("rackId", ALL),
                        int32("memberEpoch", ALL),
                        string("clientId", ALL),
                        string("clientHost", ALL),
                        array("subscribedTopicNames", ALL, &[string("", ALL).is(Topic)]),
                        string("subscribedTopicRegex", ALL),
                        structure(
                            "assignment",
                            ALL,
                            &[array(
                                "topicPartitions",
                                ALL,
                                &[
                                    uuid("topicId", ALL).is(TopicId),
                                    string("topicName", ALL).is(Topic),
                                    array("partitions", ALL, &[int32("", ALL).is(Partition)]),
                                ],
                            )],
                        ),
                        structure(
                            "targetAssignment",
                            ALL,
                            &[array(
                                "topicPartitions",
                                ALL,
                                &[
                                    uuid("topicId", ALL).is(TopicId),
                                    string("topicName", ALL).is(Topic),
                                    array("partitions", ALL, &[int32("", ALL).is(Partition)]),
                                ],
                            )],
                        ),
                        int8("memberType", since(1)),
                    ],
                ),
                int32("authorizedOperations", ALL),
            ],
        ),
    ],
};

/// DeleteGroups.
pub(in crate::kafka) static DELETE_GROUPS: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[array("groupsNames", ALL, &[string("", ALL).is(Group)])],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array("results", ALL, &[string("groupId", ALL).is(Group), int16("errorCode", ALL).is(Error)]),
    ],
};

/// OffsetDelete.
pub(in crate::kafka) static OFFSET_DELETE: Body = Body {
    latest: 0,
    flexible: NEVER,
    request: &[
        string("groupId", ALL).is(Group),
        array(
            "topics",
            ALL,
            &[
                string("name", ALL).is(Topic),
                array("partitions", ALL, &[int32("partitionIndex", ALL).is(Partition)]),
            ],
        ),
    ],
    response: &[
        int16("errorCode", ALL).is(Error),
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

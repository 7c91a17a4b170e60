//! What consumers tell each other inside JoinGroup and SyncGroup: bytes to the broker, messages of
//! the consumer protocol to them. Their version is in front of them.

use super::Mark::{Partition, Topic};
use super::{ALL, Field, array, bytes, int32, since, string};

/// The newest version of the messages below. Newer ones may only add to the end.
pub(in crate::kafka) const EMBEDDED_LATEST: i16 = 3;

/// ConsumerProtocolSubscription.
pub(super) const SUBSCRIPTION: &[Field] = &[
    array("topics", ALL, &[string("", ALL).is(Topic)]),
    bytes("userData", ALL),
    array(
        "ownedPartitions",
        since(1),
        &[string("topic", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
    ),
    int32("generationId", since(2)),
    string("rackId", since(3)),
];

/// ConsumerProtocolAssignment.
pub(super) const ASSIGNMENT: &[Field] = &[
    array(
        "assignedPartitions",
        ALL,
        &[string("topic", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
    ),
    bytes("userData", ALL),
];

//! Settings of topics, brokers and log directories.

use super::Mark::{ConfigName, ConfigValue, Error, Partition, Summary, Throttle, Topic};
use super::{ALL, Body, array, boolean, int8, int16, int32, int64, since, string, until};

/// DescribeConfigs.
pub(in crate::kafka) static DESCRIBE_CONFIGS: Body = Body {
    latest: 4,
    flexible: 4,
    request: &[
        array(
            "resources",
            ALL,
            &[
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
                array("configurationKeys", ALL, &[string("", ALL)]),
            ],
        ),
        boolean("includeSynonyms", since(1)),
        boolean("includeDocumentation", since(3)),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "results",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
                array(
                    "configs",
                    ALL,
                    &[
                        string("name", ALL).is(ConfigName),
                        string("value", ALL).is(ConfigValue),
                        boolean("readOnly", ALL),
                        int8("configSource", since(1)),
                        boolean("isDefault", until(0)),
                        boolean("isSensitive", ALL),
                        array(
                            "synonyms",
                            since(1),
                            &[
                                string("name", since(1)).is(ConfigName),
                                string("value", since(1)).is(ConfigValue),
                                int8("source", since(1)),
                            ],
                        ),
                        int8("configType", since(3)),
                        string("documentation", since(3)),
                    ],
                ),
            ],
        ),
    ],
};

/// AlterConfigs.
pub(in crate::kafka) static ALTER_CONFIGS: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[
        array(
            "resources",
            ALL,
            &[
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
                array(
                    "configs",
                    ALL,
                    &[string("name", ALL).is(ConfigName), string("value", ALL).is(ConfigValue)],
                ),
            ],
        ),
        boolean("validateOnly", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "responses",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
            ],
        ),
    ],
};

/// IncrementalAlterConfigs.
pub(in crate::kafka) static INCREMENTAL_ALTER_CONFIGS: Body = Body {
    latest: 1,
    flexible: 1,
    request: &[
        array(
            "resources",
            ALL,
            &[
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
                array(
                    "configs",
                    ALL,
                    &[
                        string("name", ALL).is(ConfigName),
                        int8("configOperation", ALL),
                        string("value", ALL).is(ConfigValue),
                    ],
                ),
            ],
        ),
        boolean("validateOnly", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "responses",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                int8("resourceType", ALL),
                string("resourceName", ALL).is(Summary),
            ],
        ),
    ],
};

/// ListConfigResources.
pub(in crate::kafka) static LIST_CONFIG_RESOURCES: Body = Body {
    latest: 1,
    flexible: 0,
    request: &[array("resourceTypes", since(1), &[int8("", ALL)])],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        array("configResources", ALL, &[string("resourceName", ALL), int8("resourceType", since(1))]),
    ],
};

/// AlterReplicaLogDirs.
pub(in crate::kafka) static ALTER_REPLICA_LOG_DIRS: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[array(
        "dirs",
        ALL,
        &[
            string("path", ALL),
            array(
                "topics",
                ALL,
                &[string("name", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
            ),
        ],
    )],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "results",
            ALL,
            &[
                string("topicName", ALL).is(Topic),
                array(
                    "partitions",
                    ALL,
                    &[int32("partitionIndex", ALL).is(Partition), int16("errorCode", ALL).is(Error)],
                ),
            ],
        ),
    ],
};

/// DescribeLogDirs.
pub(in crate::kafka) static DESCRIBE_LOG_DIRS: Body = Body {
    latest: 5,
    flexible: 2,
    request: &[array(
        "topics",
        ALL,
        &[string("topic", ALL).is(Topic), array("partitions", ALL, &[int32("", ALL).is(Partition)])],
    )],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", since(3)).is(Error),
        array(
            "results",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("logDir", ALL),
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
                                int64("partitionSize", ALL),
                                int64("offsetLag", ALL),
                                boolean("isFutureKey", ALL),
                            ],
                        ),
                    ],
                ),
                int64("totalBytes", since(4)),
                int64("usableBytes", since(4)),
                boolean("isCordoned", since(5)),
            ],
        ),
    ],
};

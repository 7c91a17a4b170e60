//! Authentication, access control and quotas. Secrets are marked and never shown.

use super::Mark::{Error, Secret, Summary, Throttle};
use super::{ALL, Body, NEVER, array, bytes, int8, int16, int32, int64, since, string};

/// SaslHandshake.
pub(in crate::kafka) static SASL_HANDSHAKE: Body = Body {
    latest: 1,
    flexible: NEVER,
    request: &[string("mechanism", ALL).is(Summary)],
    response: &[int16("errorCode", ALL).is(Error), array("mechanisms", ALL, &[string("", ALL)])],
};

/// SaslAuthenticate.
pub(in crate::kafka) static SASL_AUTHENTICATE: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[bytes("authBytes", ALL).is(Secret)],
    response: &[
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        bytes("authBytes", ALL).is(Secret),
        int64("sessionLifetimeMs", since(1)),
    ],
};

/// DescribeAcls.
pub(in crate::kafka) static DESCRIBE_ACLS: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[
        int8("resourceTypeFilter", ALL),
        string("resourceNameFilter", ALL),
        int8("patternTypeFilter", since(1)),
        string("principalFilter", ALL),
        string("hostFilter", ALL),
        int8("operation", ALL),
        int8("permissionType", ALL),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        array(
            "resources",
            ALL,
            &[
                int8("resourceType", ALL),
                string("resourceName", ALL),
                int8("patternType", since(1)),
                array(
                    "acls",
                    ALL,
                    &[
                        string("principal", ALL),
                        string("host", ALL),
                        int8("operation", ALL),
                        int8("permissionType", ALL),
                    ],
                ),
            ],
        ),
    ],
};

/// CreateAcls.
pub(in crate::kafka) static CREATE_ACLS: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[array(
        "creations",
        ALL,
        &[
            int8("resourceType", ALL),
            string("resourceName", ALL),
            int8("resourcePatternType", since(1)),
            string("principal", ALL),
            string("host", ALL),
            int8("operation", ALL),
            int8("permissionType", ALL),
        ],
    )],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array("results", ALL, &[int16("errorCode", ALL).is(Error), string("errorMessage", ALL)]),
    ],
};

/// DeleteAcls.
pub(in crate::kafka) static DELETE_ACLS: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[array(
        "filters",
        ALL,
        &[
            int8("resourceTypeFilter", ALL),
            string("resourceNameFilter", ALL),
            int8("patternTypeFilter", since(1)),
            string("principalFilter", ALL),
            string("hostFilter", ALL),
            int8("operation", ALL),
            int8("permissionType", ALL),
        ],
    )],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "filterResults",
            ALL,
            &[
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                array(
                    "matchingAcls",
                    ALL,
                    &[
                        int16("errorCode", ALL).is(Error),
                        string("errorMessage", ALL),
                        int8("resourceType", ALL),
                        string("resourceName", ALL),
                        int8("patternType", since(1)),
                        string("principal", ALL),
                        string("host", ALL),
                        int8("operation", ALL),
                        int8("permissionType", ALL),
                    ],
                ),
            ],
        ),
    ],
};

/// DescribeUserScramCredentials.
pub(in crate::kafka) static DESCRIBE_USER_SCRAM_CREDENTIALS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[array("users", ALL, &[string("name", ALL)])],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        int16("errorCode", ALL).is(Error),
        string("errorMessage", ALL),
        array(
            "results",
            ALL,
            &[
                string("user", ALL),
                int16("errorCode", ALL).is(Error),
                string("errorMessage", ALL),
                array(
                    "credentialInfos",
                    ALL,
                    &[int8("mechanism", ALL).is(Summary), int32("iterations", ALL)],
                ),
            ],
        ),
    ],
};

/// AlterUserScramCredentials.
pub(in crate::kafka) static ALTER_USER_SCRAM_CREDENTIALS: Body = Body {
    latest: 0,
    flexible: 0,
    request: &[
        array("deletions", ALL, &[string("name", ALL), int8("mechanism", ALL).is(Summary)]),
        array(
            "upsertions",
            ALL,
            &[
                string("name", ALL),
                int8("mechanism", ALL).is(Summary),
                int32("iterations", ALL),
                bytes("salt", ALL).is(Secret),
                bytes("saltedPassword", ALL).is(Secret),
            ],
        ),
    ],
    response: &[
        int32("throttleTimeMs", ALL).is(Throttle),
        array(
            "results",
            ALL,
            &[string("user", ALL), int16("errorCode", ALL).is(Error), string("errorMessage", ALL)],
        ),
    ],
};

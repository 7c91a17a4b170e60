//! Delegation tokens (KIP-48). Their HMACs are as good as passwords and never shown.

use super::Mark::{Error, Secret, Summary, Throttle};
use super::{ALL, Body, Field, array, bytes, int16, int32, int64, since, string};

/// Who may renew a token, or has it.
static PRINCIPAL: [Field; 2] = [string("principalType", ALL), string("principalName", ALL).is(Summary)];

/// CreateDelegationToken.
pub(in crate::kafka) static CREATE_DELEGATION_TOKEN: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[
        string("ownerPrincipalType", since(3)),
        string("ownerPrincipalName", since(3)).is(Summary),
        array("renewers", ALL, &PRINCIPAL),
        int64("maxLifetimeMs", ALL),
    ],
    response: &[
        int16("errorCode", ALL).is(Error),
        string("principalType", ALL),
        string("principalName", ALL),
        string("tokenRequesterPrincipalType", since(3)),
        string("tokenRequesterPrincipalName", since(3)),
        int64("issueTimestampMs", ALL),
        int64("expiryTimestampMs", ALL),
        int64("maxTimestampMs", ALL),
        string("tokenId", ALL),
        bytes("hmac", ALL).is(Secret),
        int32("throttleTimeMs", ALL).is(Throttle),
    ],
};

/// RenewDelegationToken.
pub(in crate::kafka) static RENEW_DELEGATION_TOKEN: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[bytes("hmac", ALL).is(Secret), int64("renewPeriodMs", ALL)],
    response: &[
        int16("errorCode", ALL).is(Error),
        int64("expiryTimestampMs", ALL),
        int32("throttleTimeMs", ALL).is(Throttle),
    ],
};

/// ExpireDelegationToken.
pub(in crate::kafka) static EXPIRE_DELEGATION_TOKEN: Body = Body {
    latest: 2,
    flexible: 2,
    request: &[bytes("hmac", ALL).is(Secret), int64("expiryTimePeriodMs", ALL)],
    response: &[
        int16("errorCode", ALL).is(Error),
        int64("expiryTimestampMs", ALL),
        int32("throttleTimeMs", ALL).is(Throttle),
    ],
};

/// DescribeDelegationToken.
pub(in crate::kafka) static DESCRIBE_DELEGATION_TOKEN: Body = Body {
    latest: 3,
    flexible: 2,
    request: &[array("owners", ALL, &PRINCIPAL)],
    response: &[
        int16("errorCode", ALL).is(Error),
        array(
            "tokens",
            ALL,
            &[
                string("principalType", ALL),
                string("principalName", ALL),
                string("tokenRequesterPrincipalType", since(3)),
                string("tokenRequesterPrincipalName", since(3)),
                int64("issueTimestamp", ALL),
                int64("expiryTimestamp", ALL),
                int64("maxTimestamp", ALL),
                string("tokenId", ALL),
                bytes("hmac", ALL).is(Secret),
                array("renewers", ALL, &PRINCIPAL),
            ],
        ),
        int32("throttleTimeMs", ALL).is(Throttle),
    ],
};

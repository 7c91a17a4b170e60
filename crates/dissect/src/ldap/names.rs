//! What numbers and object identifiers are called.

/// An operation, by its tag (RFC 4511, section 4.2 and appendix B).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    /// Its tag.
    pub(super) tag: u8,
    /// Its name, as the standard writes it.
    pub(super) name: &'static str,
    /// The tag of what ends its answer; 0 where nothing answers it, and for answers.
    pub(super) answer: u8,
    /// The server sends it.
    pub(super) is_answer: bool,
}

pub(super) const BIND: u8 = 0x60;
pub(super) const BIND_ANSWER: u8 = 0x61;
pub(super) const UNBIND: u8 = 0x42;
pub(super) const SEARCH: u8 = 0x63;
pub(super) const ENTRY: u8 = 0x64;
pub(super) const SEARCH_DONE: u8 = 0x65;
pub(super) const REFERENCE: u8 = 0x73;
pub(super) const MODIFY: u8 = 0x66;
pub(super) const ADD: u8 = 0x68;
pub(super) const DELETE: u8 = 0x4a;
pub(super) const MODIFY_DN: u8 = 0x6c;
pub(super) const COMPARE: u8 = 0x6e;
pub(super) const ABANDON: u8 = 0x50;
pub(super) const EXTENDED: u8 = 0x77;
pub(super) const EXTENDED_ANSWER: u8 = 0x78;
pub(super) const INTERMEDIATE: u8 = 0x79;

const fn request(tag: u8, name: &'static str, answer: u8) -> Operation {
    Operation { tag, name, answer, is_answer: false }
}

const fn answer(tag: u8, name: &'static str) -> Operation {
    Operation { tag, name, answer: 0, is_answer: true }
}

static OPERATIONS: [Operation; 21] = [
    request(SEARCH, "searchRequest", SEARCH_DONE),
    answer(ENTRY, "searchResultEntry"),
    answer(SEARCH_DONE, "searchResultDone"),
    request(BIND, "bindRequest", BIND_ANSWER),
    answer(BIND_ANSWER, "bindResponse"),
    request(UNBIND, "unbindRequest", 0),
    answer(REFERENCE, "searchResultReference"),
    request(MODIFY, "modifyRequest", 0x67),
    answer(0x67, "modifyResponse"),
    request(ADD, "addRequest", 0x69),
    answer(0x69, "addResponse"),
    request(DELETE, "delRequest", 0x6b),
    answer(0x6b, "delResponse"),
    request(MODIFY_DN, "modDNRequest", 0x6d),
    answer(0x6d, "modDNResponse"),
    request(COMPARE, "compareRequest", 0x6f),
    answer(0x6f, "compareResponse"),
    request(ABANDON, "abandonRequest", 0),
    request(EXTENDED, "extendedReq", EXTENDED_ANSWER),
    answer(EXTENDED_ANSWER, "extendedResp"),
    answer(INTERMEDIATE, "intermediateResponse"),
];

/// The operation with that tag.
pub(super) fn operation(tag: u8) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|o| o.tag == tag)
}

/// The name of a result code (RFC 4511, appendix A; RFC 3909, 4370, 4528, 4533 and the registry
/// `ldap-parameters` of IANA for the others).
pub(super) fn result(code: i64) -> Option<&'static str> {
    Some(match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        5 => "compareFalse",
        6 => "compareTrue",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        9 => "partialResults",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        13 => "confidentialityRequired",
        14 => "saslBindInProgress",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        35 => "isLeaf",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        113 => "lcupResourcesExhausted",
        114 => "lcupSecurityViolation",
        115 => "lcupInvalidData",
        116 => "lcupUnsupportedScheme",
        117 => "lcupReloadRequired",
        118 => "canceled",
        119 => "noSuchOperation",
        120 => "tooLate",
        121 => "cannotCancel",
        122 => "assertionFailed",
        123 => "authorizationDenied",
        4096 => "e-syncRefreshRequired",
        _ => return None,
    })
}

/// True for the codes that do not indicate an error (RFC 4511, appendix A.1).
pub(super) fn is_success(code: i64) -> bool {
    matches!(code, 0 | 5 | 6 | 10 | 14)
}

/// True for the codes that say that the request was wrong or not allowed: problems of attributes,
/// names, security and updates, as X.511 groups them, and errors of protocol.
pub(super) fn blames_client(code: i64) -> bool {
    matches!(code, 2 | 7 | 8 | 12 | 13 | 16..=21 | 32..=36 | 48..=50 | 64..=71 | 119 | 121..=123)
}

/// What controls and extended operations are called, by object identifier.
const OBJECTS: &[(&[u8], &str)] = &[
    (b"1.3.6.1.4.1.1466.20037", "StartTLS"),
    (b"1.3.6.1.4.1.1466.20036", "NoticeOfDisconnection"),
    (b"1.3.6.1.4.1.4203.1.11.1", "PasswordModify"),
    (b"1.3.6.1.4.1.4203.1.11.3", "WhoAmI"),
    (b"1.3.6.1.1.8", "Cancel"),
    (b"1.3.6.1.1.19", "Turn"),
    (b"1.3.6.1.1.21.1", "StartTransaction"),
    (b"1.3.6.1.1.21.2", "TransactionSpecification"),
    (b"1.3.6.1.1.21.3", "EndTransaction"),
    (b"1.3.6.1.1.21.4", "AbortedTransaction"),
    (b"1.3.6.1.4.1.1466.101.119.1", "DynamicRefresh"),
    (b"1.3.6.1.1.12", "Assertion"),
    (b"1.3.6.1.1.13.1", "PreRead"),
    (b"1.3.6.1.1.13.2", "PostRead"),
    (b"1.3.6.1.1.22", "DontUseCopy"),
    (b"1.3.6.1.4.1.4203.1.9.1.1", "SyncRequest"),
    (b"1.3.6.1.4.1.4203.1.9.1.2", "SyncState"),
    (b"1.3.6.1.4.1.4203.1.9.1.3", "SyncDone"),
    (b"1.3.6.1.4.1.4203.1.9.1.4", "SyncInfo"),
    (b"1.3.6.1.4.1.4203.1.10.1", "Subentries"),
    (b"1.3.6.1.4.1.42.2.27.8.5.1", "PasswordPolicy"),
    (b"1.3.6.1.4.1.42.2.27.9.5.2", "GetEffectiveRights"),
    (b"1.2.826.0.1.3344810.2.3", "MatchedValues"),
    (b"1.2.840.113556.1.4.319", "PagedResults"),
    (b"1.2.840.113556.1.4.417", "ShowDeleted"),
    (b"1.2.840.113556.1.4.473", "SortRequest"),
    (b"1.2.840.113556.1.4.474", "SortResponse"),
    (b"1.2.840.113556.1.4.521", "CrossDomainMoveTarget"),
    (b"1.2.840.113556.1.4.528", "Notification"),
    (b"1.2.840.113556.1.4.529", "ExtendedDN"),
    (b"1.2.840.113556.1.4.619", "LazyCommit"),
    (b"1.2.840.113556.1.4.801", "SDFlags"),
    (b"1.2.840.113556.1.4.802", "RangeOption"),
    (b"1.2.840.113556.1.4.805", "TreeDelete"),
    (b"1.2.840.113556.1.4.841", "DirSync"),
    (b"1.2.840.113556.1.4.1338", "VerifyName"),
    (b"1.2.840.113556.1.4.1339", "DomainScope"),
    (b"1.2.840.113556.1.4.1340", "SearchOptions"),
    (b"1.2.840.113556.1.4.1413", "PermissiveModify"),
    (b"1.2.840.113556.1.4.1504", "AttributeScopedQuery"),
    (b"1.2.840.113556.1.4.1781", "FastBind"),
    (b"1.2.840.113556.1.4.2064", "ShowRecycled"),
    (b"1.2.840.113556.1.4.2065", "ShowDeactivatedLink"),
    (b"2.16.840.1.113730.3.4.2", "ManageDsaIT"),
    (b"2.16.840.1.113730.3.4.3", "PersistentSearch"),
    (b"2.16.840.1.113730.3.4.4", "PasswordExpired"),
    (b"2.16.840.1.113730.3.4.5", "PasswordExpiring"),
    (b"2.16.840.1.113730.3.4.7", "EntryChangeNotification"),
    (b"2.16.840.1.113730.3.4.9", "VirtualListViewRequest"),
    (b"2.16.840.1.113730.3.4.10", "VirtualListViewResponse"),
    (b"2.16.840.1.113730.3.4.12", "ProxiedAuthorizationV1"),
    (b"2.16.840.1.113730.3.4.15", "AuthorizationIdentityResponse"),
    (b"2.16.840.1.113730.3.4.16", "AuthorizationIdentityRequest"),
    (b"2.16.840.1.113730.3.4.18", "ProxiedAuthorization"),
];

pub(super) const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
pub(super) const WHO_AM_I: &[u8] = b"1.3.6.1.4.1.4203.1.11.3";
pub(super) const PASSWORD_MODIFY: &[u8] = b"1.3.6.1.4.1.4203.1.11.1";

/// The name of a control or extended operation, or its object identifier.
pub(super) fn object(oid: &[u8]) -> &[u8] {
    OBJECTS.iter().find(|o| o.0 == oid).map_or(oid, |o| o.1.as_bytes())
}

/// Attributes whose values are secrets: passwords, their hashes, and keys.
const SECRETS: &[&[u8]] = &[
    b"userPassword",
    b"unicodePwd",
    b"authPassword",
    b"olcRootPW",
    b"sambaNTPassword",
    b"sambaLMPassword",
    b"sambaPasswordHistory",
    b"dBCSPwd",
    b"ntPwdHistory",
    b"lmPwdHistory",
    b"supplementalCredentials",
    b"krbPrincipalKey",
    b"krbMKey",
    b"krbPwdHistory",
    b"pwdHistory",
    b"ipaNTHash",
    b"ipatokenOTPkey",
    b"oathSecret",
    b"nsslapd-rootpw",
    b"ms-Mcs-AdmPwd",
    b"msLAPS-Password",
    b"msDS-ManagedPassword",
    b"passwordHistory",
    b"radiusPassword",
    b"nsDS5ReplicaCredentials",
    b"nsMultiplexorCredentials",
];

/// True when the values of an attribute are secrets; options (`;binary`) do not matter.
pub(super) fn is_secret(attribute: &[u8]) -> bool {
    let base = attribute.split(|&b| b == b';').next().unwrap_or_default();
    // 2.5.4.35 is userPassword.
    SECRETS.iter().any(|s| s.eq_ignore_ascii_case(base)) || base == b"2.5.4.35"
}

/// What stands in the place of a secret.
pub(super) const HIDDEN: &[u8] = b"***";

//! Numbers of TLS by name, from the IANA registries "TLS Parameters" and "TLS Extensions".

mod suites;

pub(super) use suites::suite;

use super::hello::is_grease;

/// A number as users see it.
pub(super) fn or_hex(name: Option<&'static str>, id: u16) -> std::borrow::Cow<'static, str> {
    match name {
        Some(name) => name.into(),
        None => format!("0x{id:04x}").into(),
    }
}

/// The names of a list, without GREASE.
pub(super) fn all(
    list: &[u16],
    name: impl Fn(u16) -> Option<&'static str>,
) -> Vec<std::borrow::Cow<'static, str>> {
    list.iter().filter(|id| !is_grease(**id)).map(|id| or_hex(name(*id), *id)).collect()
}

/// A version of the protocol.
pub(super) fn version(id: u16) -> Option<&'static str> {
    Some(match id {
        0x0002 => "SSL 2.0",
        0x0300 => "SSL 3.0",
        0x0301 => "TLS 1.0",
        0x0302 => "TLS 1.1",
        0x0303 => "TLS 1.2",
        0x0304 => "TLS 1.3",
        _ => return None,
    })
}

/// A group of a key exchange (registry "TLS Supported Groups").
pub(super) fn group(id: u16) -> Option<&'static str> {
    Some(match id {
        1 => "sect163k1",
        2 => "sect163r1",
        3 => "sect163r2",
        4 => "sect193r1",
        5 => "sect193r2",
        6 => "sect233k1",
        7 => "sect233r1",
        8 => "sect239k1",
        9 => "sect283k1",
        10 => "sect283r1",
        11 => "sect409k1",
        12 => "sect409r1",
        13 => "sect571k1",
        14 => "sect571r1",
        15 => "secp160k1",
        16 => "secp160r1",
        17 => "secp160r2",
        18 => "secp192k1",
        19 => "secp192r1",
        20 => "secp224k1",
        21 => "secp224r1",
        22 => "secp256k1",
        23 => "secp256r1",
        24 => "secp384r1",
        25 => "secp521r1",
        26 => "brainpoolP256r1",
        27 => "brainpoolP384r1",
        28 => "brainpoolP512r1",
        29 => "x25519",
        30 => "x448",
        31 => "brainpoolP256r1tls13",
        32 => "brainpoolP384r1tls13",
        33 => "brainpoolP512r1tls13",
        41 => "curveSM2",
        256 => "ffdhe2048",
        257 => "ffdhe3072",
        258 => "ffdhe4096",
        259 => "ffdhe6144",
        260 => "ffdhe8192",
        512 => "MLKEM512",
        513 => "MLKEM768",
        514 => "MLKEM1024",
        4_587 => "SecP256r1MLKEM768",
        4_588 => "X25519MLKEM768",
        4_589 => "SecP384r1MLKEM1024",
        0x6399 => "X25519Kyber768Draft00",
        0x639a => "SecP256r1Kyber768Draft00",
        _ => return None,
    })
}

/// A signature algorithm (registry "TLS SignatureScheme"; the pairs of TLS 1.2 by the names that
/// OpenSSL gives them).
pub(super) fn signature(id: u16) -> Option<&'static str> {
    Some(match id {
        0x0101 => "rsa_pkcs1_md5",
        0x0201 => "rsa_pkcs1_sha1",
        0x0202 => "dsa_sha1",
        0x0203 => "ecdsa_sha1",
        0x0301 => "rsa_pkcs1_sha224",
        0x0302 => "dsa_sha224",
        0x0303 => "ecdsa_sha224",
        0x0401 => "rsa_pkcs1_sha256",
        0x0402 => "dsa_sha256",
        0x0403 => "ecdsa_secp256r1_sha256",
        0x0420 => "rsa_pkcs1_sha256_legacy",
        0x0501 => "rsa_pkcs1_sha384",
        0x0502 => "dsa_sha384",
        0x0503 => "ecdsa_secp384r1_sha384",
        0x0520 => "rsa_pkcs1_sha384_legacy",
        0x0601 => "rsa_pkcs1_sha512",
        0x0602 => "dsa_sha512",
        0x0603 => "ecdsa_secp521r1_sha512",
        0x0620 => "rsa_pkcs1_sha512_legacy",
        0x0708 => "sm2sig_sm3",
        0x0804 => "rsa_pss_rsae_sha256",
        0x0805 => "rsa_pss_rsae_sha384",
        0x0806 => "rsa_pss_rsae_sha512",
        0x0807 => "ed25519",
        0x0808 => "ed448",
        0x0809 => "rsa_pss_pss_sha256",
        0x080a => "rsa_pss_pss_sha384",
        0x080b => "rsa_pss_pss_sha512",
        0x081a => "ecdsa_brainpoolP256r1tls13_sha256",
        0x081b => "ecdsa_brainpoolP384r1tls13_sha384",
        0x081c => "ecdsa_brainpoolP512r1tls13_sha512",
        0x0904 => "mldsa44",
        0x0905 => "mldsa65",
        0x0906 => "mldsa87",
        _ => return None,
    })
}

/// An alert (registry "TLS Alerts").
pub(super) fn alert(description: u8) -> Option<&'static str> {
    Some(match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}

/// What is weak in what was agreed upon: versions that RFC 8996 and RFC 7568 forbid, and suites
/// without encryption, authentication or a cipher that still holds (RFC 7465, RFC 9325).
pub(super) fn weaknesses(version_id: u16, suite_id: u16) -> Vec<&'static str> {
    let mut found = Vec::new();
    if version_id < 0x0303
        && let Some(name) = version(version_id)
    {
        found.push(name);
    }
    let name = suite(suite_id).unwrap_or_default();
    for (part, what) in [
        ("_NULL_", "NULL"),
        ("_EXPORT", "EXPORT"),
        ("_anon_", "anon"),
        ("_RC4_", "RC4"),
        ("_RC2_", "RC2"),
        ("_DES_", "DES"),
        ("_DES40_", "DES"),
        ("_3DES_", "3DES"),
        ("_MD5", "MD5"),
    ] {
        if name.contains(part) {
            found.push(what);
        }
    }
    found
}

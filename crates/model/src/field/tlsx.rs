//! TLS handshakes.

use super::spec::*;

fields! { after diameter;
    TLSX "tlsx" Bool Call, flag(Tlsx), "tlsx", "true for TLS handshakes";
    TLSX_SNI "tlsx_sni" Text Of(Tlsx), Repeating, "\"shop.example\"", "server name that the client asks for (SNI)";
    TLSX_ALPN "tlsx_alpn" Text Of(Tlsx), Repeating, "\"h2\"", "application protocol that the server has chosen; with TLS 1.3 seen only with keys";
    TLSX_ALPN_OFFERED "tlsx_alpn_offered" List Of(Tlsx), Stored, "\"h2\" in tlsx_alpn_offered", "application protocols that the client offers, in its order, up to 64";
    TLSX_VERSION "tlsx_version" Int Of(Tlsx), Stored, "772", "number of the version agreed upon: 772 is TLS 1.3, 771 is TLS 1.2";
    TLSX_VERSION_NAME "tlsx_version_name" Text Of(Tlsx), Repeating, "\"TLS 1.3\"", "version agreed upon, from SSL 2.0 to TLS 1.3";
    TLSX_VERSIONS "tlsx_versions" List Of(Tlsx), Stored, "\"TLS 1.0\" in tlsx_versions", "versions that the client offers; the newest alone where it lists none";
    TLSX_CIPHER_SUITE "tlsx_cipher_suite" Int Of(Tlsx), Stored, "4865", "number of the cipher suite agreed upon";
    TLSX_CIPHER_SUITE_NAME "tlsx_cipher_suite_name" Text Of(Tlsx), Repeating, "\"TLS_AES_128_GCM_SHA256\"", "cipher suite agreed upon, as IANA registers it";
    TLSX_CIPHER_SUITES "tlsx_cipher_suites" List Of(Tlsx), Stored, "tlsx_cipher_suites.exists(s, s.contains(\"RC4\"))", "cipher suites that the client offers, in its order";
    TLSX_WEAK "tlsx_weak" List Of(Tlsx), Stored, "size(tlsx_weak) > 0", "what is weak in version and cipher suite agreed upon, for example TLS 1.0, RC4 or 3DES";
    TLSX_GROUP "tlsx_group" Text Of(Tlsx), Repeating, "\"x25519\"", "group of the key exchange agreed upon";
    TLSX_GROUPS "tlsx_groups" List Of(Tlsx), Stored, "\"X25519MLKEM768\" in tlsx_groups", "groups for key exchange that the client offers, in its order";
    TLSX_SIGNATURE_ALGORITHMS "tlsx_signature_algorithms" List Of(Tlsx), Stored, "\"ed25519\" in tlsx_signature_algorithms", "signature algorithms that the client accepts, in its order";
    TLSX_RESUMED "tlsx_resumed" Bool Of(Tlsx), Stored, "tlsx_resumed", "true when an earlier session goes on: by session id, ticket or pre-shared key";
    TLSX_RESUMPTION_OFFERED "tlsx_resumption_offered" Bool Of(Tlsx), Stored, "tlsx_resumption_offered", "true when the client shows a session ticket or pre-shared key";
    TLSX_EARLY_DATA "tlsx_early_data" Bool Of(Tlsx), Stored, "tlsx_early_data", "true when the client sends data before the server has answered (0-RTT)";
    TLSX_EARLY_DATA_ACCEPTED "tlsx_early_data_accepted" Bool Of(Tlsx), Stored, "tlsx_early_data_accepted", "true when the server has taken the early data; seen only with keys";
    TLSX_HELLO_RETRY "tlsx_hello_retry" Bool Of(Tlsx), Stored, "tlsx_hello_retry", "true when the server has asked for another ClientHello";
    TLSX_ECH "tlsx_ech" Bool Of(Tlsx), Stored, "tlsx_ech", "true when the ClientHello has an encrypted one in it, or pretends to: then the server name is the outer one";
    TLSX_JA3 "tlsx_ja3" LowerText Of(Tlsx), Repeating, "\"0149f47eabf9a20d0893e2a44e5a6323\"", "JA3 fingerprint of the client";
    TLSX_JA3S "tlsx_ja3s" LowerText Of(Tlsx), Repeating, "\"eb1d94daa7e0344597e756a1fb6e7054\"", "JA3S fingerprint of the server";
    TLSX_JA4 "tlsx_ja4" Text Of(Tlsx), Repeating, "\"t13d1516h2_8daaf6152771_e5627efa2ab1\"", "JA4 fingerprint of the client";
    TLSX_CERT_SUBJECT "tlsx_cert_subject" Text Of(Tlsx), Repeating, "\"CN=shop.example\"", "subject of the server's certificate; with TLS 1.3 seen only with keys, as all of it";
    TLSX_CERT_ISSUER "tlsx_cert_issuer" Text Of(Tlsx), Repeating, "\"C=US, O=Example, CN=Example CA\"", "issuer of the server's certificate";
    TLSX_CERT_NAMES "tlsx_cert_names" List Of(Tlsx), Stored, "\"shop.example\" in tlsx_cert_names", "subject alternative names of the server's certificate, up to 256";
    TLSX_CERT_NOT_BEFORE "tlsx_cert_not_before" Time Of(Tlsx), Stored, "tlsx_cert_not_before > timestamp(\"2026-01-01T00:00:00Z\")", "time from which the server's certificate is valid";
    TLSX_CERT_NOT_AFTER "tlsx_cert_not_after" Time Of(Tlsx), Stored, "tlsx_cert_not_after < timestamp(\"2027-01-01T00:00:00Z\")", "time until which the server's certificate is valid";
    TLSX_CERT_SERIAL "tlsx_cert_serial" LowerText Of(Tlsx), Repeating, "\"04e9\"", "serial number of the server's certificate, in hexadecimal";
    TLSX_CERT_SIGNATURE_ALGORITHM "tlsx_cert_signature_algorithm" Text Of(Tlsx), Repeating, "\"ecdsa-with-SHA256\"", "algorithm with which the server's certificate is signed";
    TLSX_CLIENT_CERT_SUBJECT "tlsx_client_cert_subject" Text Of(Tlsx), Repeating, "\"CN=billing\"", "subject of the client's certificate";
    TLSX_CLIENT_CERT_ISSUER "tlsx_client_cert_issuer" Text Of(Tlsx), Repeating, "\"CN=Mesh CA\"", "issuer of the client's certificate";
    TLSX_ALERT "tlsx_alert" LowerText Of(Tlsx), Repeating, "\"handshake_failure\"", "alert during the handshake, as IANA registers it; encrypted where it could not be read";
    TLSX_ALERT_SENDER "tlsx_alert_sender" LowerText Of(Tlsx), Repeating, "\"server\"", "who sent the alert: client or server";
    TLSX_HANDSHAKE_TIME "tlsx_handshake_time" Int Of(Tlsx), Stored, "tlsx_handshake_time > 100000", "microseconds from the first byte of the ClientHello to the message that completes the handshake";
    TLSX_QUIC_VERSION "tlsx_quic_version" LowerText Of(Tlsx), Repeating, "\"1\"", "version of QUIC that carries the handshake; absent for TLS over TCP";
    TLSX_QUIC_RETRY "tlsx_quic_retry" Bool Of(Tlsx), Stored, "tlsx_quic_retry", "true when a QUIC server has asked for a proof of the client's address";
    TLSX_QUIC_VERSION_NEGOTIATION "tlsx_quic_version_negotiation" Bool Of(Tlsx), Stored, "tlsx_quic_version_negotiation", "true when a QUIC server has asked for another version";
    TLSX_SUMMARY "tlsx_summary" Text Of(Tlsx), Repeating, "\"shop.example\"", "server name, else the version agreed upon";
    TLSX_INFO "tlsx_info" Text Of(Tlsx), Repeating, "\"ServerHello\"", "last hello that was seen: ClientHello or ServerHello";
    TLS_SUMMARY "tls_summary" Text Of(Tlsx), Repeating, "\"ServerHello\"", "same as tlsx_info";
    TLS_INFO "tls_info" Text Of(Tlsx), Repeating, "\"TLS 1.3, TLS_AES_128_GCM_SHA256\"", "version and cipher suite agreed upon";
    TLS_REQUEST_SIZE "tls_request_size" Int Of(Tlsx), request_size(Tlsx), "517", "bytes of the ClientHello, with what follows up to a second one";
    TLS_RESPONSE_SIZE "tls_response_size" Int Of(Tlsx), response_size(Tlsx), "1400", "bytes of the ServerHello and of what follows it in clear";
    TLS_TOTAL_SIZE "tls_total_size" Int Of(Tlsx), total_size(Tlsx), "1917", "bytes of both";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[TLSX_SNI, TLS_INFO];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[TLSX_ALERT];

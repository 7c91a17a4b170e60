//! Reason codes: MQTT 5, section 2.4, and the return codes of CONNACK and SUBACK before it (3.1.1,
//! sections 3.2.2.3 and 3.9.3).

use super::packet::Type;

/// Name of a code of MQTT 5 in a packet of that type.
pub(super) fn name(code: u8, of: Type) -> Option<&'static str> {
    Some(match code {
        0x00 if of == Type::Disconnect => "normal disconnection",
        0x00 if of == Type::Suback => "granted qos 0",
        0x00 => "success",
        0x01 => "granted qos 1",
        0x02 => "granted qos 2",
        0x04 => "disconnect with will message",
        0x10 => "no matching subscribers",
        0x11 => "no subscription existed",
        0x18 => "continue authentication",
        0x19 => "re-authenticate",
        0x80 => "unspecified error",
        0x81 => "malformed packet",
        0x82 => "protocol error",
        0x83 => "implementation specific error",
        0x84 => "unsupported protocol version",
        0x85 => "client identifier not valid",
        0x86 => "bad user name or password",
        0x87 => "not authorized",
        0x88 => "server unavailable",
        0x89 => "server busy",
        0x8a => "banned",
        0x8b => "server shutting down",
        0x8c => "bad authentication method",
        0x8d => "keep alive timeout",
        0x8e => "session taken over",
        0x8f => "topic filter invalid",
        0x90 => "topic name invalid",
        0x91 => "packet identifier in use",
        0x92 => "packet identifier not found",
        0x93 => "receive maximum exceeded",
        0x94 => "topic alias invalid",
        0x95 => "packet too large",
        0x96 => "message rate too high",
        0x97 => "quota exceeded",
        0x98 => "administrative action",
        0x99 => "payload format invalid",
        0x9a => "retain not supported",
        0x9b => "qos not supported",
        0x9c => "use another server",
        0x9d => "server moved",
        0x9e => "shared subscriptions not supported",
        0x9f => "connection rate exceeded",
        0xa0 => "maximum connect time",
        0xa1 => "subscription identifiers not supported",
        0xa2 => "wildcard subscriptions not supported",
        _ => return None,
    })
}

/// Name of a return code of CONNACK before MQTT 5.
pub(super) fn old_connack(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "accepted",
        1 => "unacceptable protocol version",
        2 => "identifier rejected",
        3 => "server unavailable",
        4 => "bad user name or password",
        5 => "not authorized",
        _ => return None,
    })
}

/// Name of a return code of SUBACK before MQTT 5.
pub(super) fn old_suback(code: u8) -> Option<&'static str> {
    if code == 0x80 { Some("failure") } else { name(code, Type::Suback).filter(|_| code <= 2) }
}

/// True for the codes of MQTT 5 that blame the client.
pub(super) fn is_clients_fault(code: u8) -> bool {
    matches!(code, 0x81 | 0x82 | 0x84..=0x87 | 0x8a | 0x8c..=0x96 | 0x99..=0x9b | 0x9e | 0xa1 | 0xa2)
}

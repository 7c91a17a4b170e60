//! MQTT 3.1, 3.1.1 and 5.
//!
//! - A packet and its acknowledgement are one call: CONNECT and CONNACK, SUBSCRIBE and SUBACK,
//!   UNSUBSCRIBE and UNSUBACK, PINGREQ and PINGRESP, PUBLISH with QoS 1 and PUBACK, PUBLISH with
//!   QoS 2 and all of PUBREC, PUBREL and PUBCOMP. They are paired by packet identifier, of which
//!   each side has its own.
//! - What has no acknowledgement is whole without one: PUBLISH with QoS 0, DISCONNECT, AUTH.
//! - What the server publishes is a call too, whose response it is; the client's acknowledgement,
//!   where the QoS asks for one, is its request, and the call begins with what the server said.
//! - `failed` is true for every reason code of 128 and above and for every CONNACK that refuses. Of
//!   a SUBACK one code that refuses is enough.
//! - Topic aliases of MQTT 5 are resolved where the packet that introduced them was seen.
//! - Secrets are never written down: passwords, and authentication data of MQTT 5.
//! - In a connection joined in the middle the version is not known until a packet shows it. What
//!   can be read in only one version shows it; a PUBLISH that could be either is read as MQTT 5
//!   where what follows the topic are properties of that version, and else as 3.1.1. The payload is
//!   left out where it is not known whether a zero in front belongs to it.
//! - Payloads beyond the limit are passed over, not held. Bytes missing inside a payload leave the
//!   order intact; after other gaps a packet has to prove itself by those that follow it.

mod connection;
mod detect;
mod packet;
mod properties;
mod publish;
mod reason;
mod report;

use remora_model::{Protocol, Transport};

use crate::detect::Entry;

/// Registry entry. 1883 is MQTT's port with IANA.
pub const ENTRY: Entry = Entry {
    protocol: Protocol::Mqtt,
    transports: &[Transport::Tcp],
    ports: &[1883],
    probe: detect::probe,
    resync: detect::resync,
    start: |_, _| Box::new(connection::Mqtt::new()),
};

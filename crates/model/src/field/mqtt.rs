//! MQTT.

use super::spec::*;

fields! { after nats;
    MQTT "mqtt" Bool Call, flag(Mqtt), "mqtt", "true for MQTT packets";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];

//! WebSocket.

use super::spec::*;

fields! { after grpc;
    WS "ws" Bool Call, flag(Ws), "ws", "true for WebSocket messages";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];

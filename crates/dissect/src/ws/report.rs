//! From messages and control frames to calls.

use remora_model::field as f;
use remora_model::{Call, Incomplete, Protocol, ValueRef};

use super::control::Frame;
use super::frame;
use super::handshake::Handshake;
use super::message::Message;
use crate::gql::{Operation, Outcome, Room, Said};
use crate::http::fields::request_line;
use crate::http::values::{Fields, int};
use crate::jsonrpc::JsonRpc;
use crate::texts::Texts;
use crate::{Context, Problem, Role};

/// Closing codes that are no complaint: normal, going away, none given, service restart (RFC 6455
/// section 7.4.1, and the IANA registry of close codes). What those from 3000 on mean is not the
/// protocol's business.
const fn is_failure(code: u16) -> bool {
    code < 3_000 && !matches!(code, 1_000 | 1_001 | 1_005 | 1_012)
}

/// Closing codes with which a server complains of what its client sent.
const fn blames_sender(code: u16) -> bool {
    matches!(code, 1_002 | 1_003 | 1_007 | 1_008 | 1_009)
}

const fn side(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

impl Handshake {
    /// The fields that every call has: those of the handshake, and who sent what.
    fn common<'a>(&'a self, sender: Option<Role>, opcode: u8) -> Fields<'a> {
        let mut fields = Fields::default();
        if let Some(request) = &self.request {
            request_line(&mut fields, request);
        }
        fields.add(f::WS_OPCODE, ValueRef::str(frame::name(opcode)));
        if let Some(role) = sender {
            fields.add(f::WS_SENDER, ValueRef::str(side(role)));
        }
        fields.filled(f::WS_SUBPROTOCOL, &self.subprotocol);
        fields
    }

    /// Follows what a message of `role` says of GraphQL operations.
    fn operation(&mut self, role: Role, message: &Message, cx: &mut Context<'_>) {
        let Some(operations) = &mut self.operations else { return };
        let said = Said { role, text: &message.body, cut: message.cut, seen: message.seen };
        match operations.message(said, cx.limits) {
            Outcome::Nothing => {}
            Outcome::Complete(operation) => self.report_operation(&operation, None, cx),
            Outcome::TooMany => cx.problem(Problem::TooManyPending, message.size),
        }
    }

    /// Reports a GraphQL operation.
    fn report_operation(&self, operation: &Operation, why: Option<Incomplete>, cx: &mut Context<'_>) {
        let mut room = Room::default();
        let mut fields = Fields::default();
        let mut http2 = false;
        if let Some(request) = &self.request {
            http2 = request.head.at(request.head.version) == b"HTTP/2";
            request_line(&mut fields, request);
        }
        fields.filled(f::WS_SUBPROTOCOL, &self.subprotocol);
        fields.add(f::GQL_RESULTS, ValueRef::Int(operation.results));
        fields.filled(f::REQUEST_BODY, &operation.request);
        fields.add(f::REQUEST_BODY_TRUNCATED, ValueRef::Bool(operation.cut[0]));
        fields.filled(f::RESPONSE_BODY, &operation.response);
        fields.add(f::RESPONSE_BODY_TRUNCATED, ValueRef::Bool(operation.cut[1]));
        operation.gql.push(&operation.texts, &mut room, http2, &mut fields);
        let unanswered = operation.answered.is_none().then_some(Incomplete::NoResponse);
        let call = Call {
            failed: operation.gql.failed,
            client_error: operation.gql.client_error,
            incomplete: why.or(unanswered),
            fields: fields.as_slice(),
            ..cx.exchange(Protocol::Gql, Some(operation.asked), operation.answered)
        };
        cx.emit(&call);
    }

    /// Nothing more comes: reports the operations that are not complete, for that reason.
    pub(super) fn end(&mut self, why: Incomplete, cx: &mut Context<'_>) {
        while let Some(operation) = self.operations.as_mut().and_then(|o| o.pop()) {
            self.report_operation(&operation, Some(why), cx);
        }
    }

    /// Reports a message of `role`.
    pub(super) fn message(&mut self, role: Role, message: &Message, cx: &mut Context<'_>) {
        self.operation(role, message, cx);
        let mut texts = Texts::default();
        let rpc = JsonRpc::message(&message.body, &mut texts);
        let mut fields = self.common(Some(role), message.opcode);
        let (data, length) = payload_of(role);
        fields.filled(data, &message.body);
        fields.add(length, ValueRef::Int(int(message.size)));
        fields.add(f::WS_FRAMES, ValueRef::Int(i64::from(message.frames)));
        if message.compressed {
            fields.add(f::WS_COMPRESSED, ValueRef::Bool(true));
        }
        fields.add(f::WS_PAYLOAD_TRUNCATED, ValueRef::Bool(message.cut));
        if let Some(rpc) = &rpc {
            rpc.push(&texts, &mut fields);
        }
        let (asked, answered) = match role {
            Role::Client => (Some(message.seen), None),
            Role::Server => (None, Some(message.seen)),
        };
        let call = Call {
            failed: rpc.as_ref().is_some_and(|r| r.failed),
            client_error: rpc.as_ref().is_some_and(|r| r.client_error),
            incomplete: message.incomplete,
            fields: fields.as_slice(),
            ..cx.exchange(Protocol::Ws, asked, answered)
        };
        cx.emit(&call);
    }

    /// Reports a control frame of `role`, and the other side's answer to it.
    pub(super) fn control(
        &self,
        role: Role,
        opcode: u8,
        asked: &Frame,
        answered: Option<&Frame>,
        why: Option<Incomplete>,
        cx: &mut Context<'_>,
    ) {
        // Who began is not known of a closing frame, or a pong, that may be an answer.
        let doubtful = match opcode {
            frame::CLOSE => answered.is_none() && why == Some(Incomplete::Gap),
            frame::PONG => why == Some(Incomplete::NoRequest),
            _ => false,
        };
        let first = !doubtful;
        let mut fields = self.common(first.then_some(role), opcode);
        for (role, of) in [(role, Some(asked)), (role.other(), answered)] {
            let Some(of) = of else { continue };
            let (data, length) = payload_of(role);
            // Of a closing frame the text behind its code.
            let text = if opcode == frame::CLOSE { of.payload().get(2..) } else { Some(of.payload()) };
            fields.filled(data, text.unwrap_or_default());
            fields.add(length, ValueRef::Int(int(of.size())));
        }
        let mut code = None;
        if let (frame::CLOSE, &[a, b, ref reason @ ..]) = (opcode, asked.payload()) {
            let number = u16::from_be_bytes([a, b]);
            fields.add(f::WS_CLOSE_CODE, ValueRef::Int(i64::from(number)));
            fields.filled(f::WS_CLOSE_REASON, reason);
            code = Some(number);
        }
        let (client, server) = match role {
            Role::Client => (Some(asked), answered),
            Role::Server => (answered, Some(asked)),
        };
        let mut call = Call {
            failed: code.is_some_and(is_failure),
            client_error: first && role == Role::Server && code.is_some_and(blames_sender),
            incomplete: asked.incomplete().or(why),
            fields: fields.as_slice(),
            ..cx.exchange(Protocol::Ws, client.map(|f| f.seen), server.map(|f| f.seen))
        };
        if let (Role::Server, Some(answer)) = (role, answered) {
            // The server asked and the client answered.
            call.ts = asked.seen.first;
            call.elapsed_us = Some(answer.seen.first.micros_since(asked.seen.last).max(0));
            call.ttlb_us = Some(answer.seen.last.micros_since(asked.seen.first).max(0));
        }
        cx.emit(&call);
    }
}

/// The fields for the payload of what `role` sends, and for its length.
const fn payload_of(role: Role) -> (remora_model::FieldId, remora_model::FieldId) {
    match role {
        Role::Client => (f::WS_REQUEST_PAYLOAD_DATA, f::WS_REQUEST_PAYLOAD_LENGTH),
        Role::Server => (f::WS_RESPONSE_PAYLOAD_DATA, f::WS_RESPONSE_PAYLOAD_LENGTH),
    }
}

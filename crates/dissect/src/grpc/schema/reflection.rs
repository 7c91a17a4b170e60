//! Server reflection (gRPC's reflection.proto, `grpc.reflection.v1` and `v1alpha`): a client asks a
//! server for the descriptors of what it serves, as grpcurl and many explorers do.

use remora_model::Endpoint;

use super::Schemas;
use crate::grpc::framing::{COMPRESSED, PREFIX, TRAILERS};
use crate::grpc::wire::{self, Value};
use crate::http::encoding;
use crate::{Limits, Problem};

/// The method that a client calls; the same messages in both versions.
const PATHS: [&[u8]; 2] = [
    b"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    b"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Reads the answers as they come: clients leave such a call open while they make those that they
/// have asked for.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// The message being read with its prefix.
    buffer: Vec<u8>,
    /// Where messages begin is not known any more, or one is too large.
    lost: bool,
}

impl Follower {
    /// A follower for a call of that path; `None` when it is not one of reflection.
    pub(crate) fn of(path: &[u8]) -> Option<Box<Self>> {
        PATHS.contains(&path).then(Box::default)
    }

    /// The next bytes of the server.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        coding: &[u8],
        server: Endpoint,
        limits: &Limits,
        mut problem: impl FnMut(Problem, u64),
    ) {
        if self.lost {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        while let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX>() {
            let [flags, length @ ..] = *prefix;
            let len = u32::from_be_bytes(length) as usize;
            if flags & !COMPRESSED != 0 || flags & TRAILERS != 0 || len > limits.message_bytes {
                problem(Problem::MessageTooLarge, self.buffer.len() as u64);
                return self.lose();
            }
            let Some(message) = rest.get(..len) else { break };
            if flags & COMPRESSED == 0 {
                learn(message, server, &limits.schemas, &mut problem);
            } else {
                // As much as an uncompressed one may have, whatever is kept of bodies.
                let wide = Limits { payload: limits.message_bytes, ..limits.clone() };
                match encoding::undo(&[coding], message, true, &wide) {
                    Ok(whole) if !whole.cut => learn(&whole.bytes, server, &limits.schemas, &mut problem),
                    _ => problem(Problem::BadEncoding, len as u64),
                }
            }
            self.buffer.drain(..PREFIX + len);
        }
    }

    /// Bytes of the server were lost or passed over.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.buffer = Vec::new();
    }

    /// True while it has to see every byte.
    pub(crate) fn is_following(&self) -> bool {
        !self.lost
    }

    /// Bytes of memory behind it.
    pub(crate) fn memory(&self) -> usize {
        size_of::<Self>() + self.buffer.capacity()
    }
}

/// Takes the descriptors out of a `ServerReflectionResponse`: field 1 of its field 4,
/// `file_descriptor_response`.
fn learn(message: &[u8], server: Endpoint, schemas: &Schemas, problem: &mut impl FnMut(Problem, u64)) {
    for (_, answer) in wire::fields(message).filter(|(number, _)| *number == 4) {
        let Value::Bytes(answer) = answer else { continue };
        for (_, file) in wire::fields(answer).filter(|(number, _)| *number == 1) {
            let Value::Bytes(file) = file else { continue };
            if !schemas.learned.learn(server, file) {
                problem(Problem::StateLimit, file.len() as u64);
            }
        }
    }
}

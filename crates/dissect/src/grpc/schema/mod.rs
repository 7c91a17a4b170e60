//! Descriptions of messages: given by the user as a descriptor set, or learned from the answers of
//! servers to reflection.

mod descriptor;
mod known;
mod learned;
mod pool;
mod reflection;

use std::sync::Arc;

use remora_model::Endpoint;

pub(super) use self::descriptor::camel;
pub(super) use self::known::Known;
use self::learned::Shared;
pub(super) use self::pool::{Field, Kind, Pool, Signature, TypeId};
pub(crate) use self::reflection::Follower;
use super::wire::{self, Value};

/// Longest descriptor set that is read, in bytes.
const MAX_SET: usize = 64 << 20;
/// Memory that a descriptor set may take, in bytes. Ten times its longest length: descriptors grow
/// when they are read, because names are written out.
const MAX_MEMORY: usize = 640 << 20;

/// What is known of the messages that gRPC carries. A clone shares everything with the original,
/// what it learns later included; so engines that are given clones know what any of them has seen.
#[derive(Clone, Debug, Default)]
pub struct Schemas {
    given: Option<Arc<Pool>>,
    learned: Arc<Shared>,
}

/// Why bytes are no usable descriptor set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A `.proto` file.
    #[error(
        "this is the source of a schema; compile it: protoc --include_imports --descriptor_set_out=SET.pb FILE.proto"
    )]
    Source,
    /// Not a message of protobuf, from that byte on.
    #[error(
        "not a descriptor set: byte {0} is no field of one (protoc --include_imports --descriptor_set_out writes them)"
    )]
    Damaged(usize),
    /// No message, enum or service is in it.
    #[error("the descriptor set describes nothing")]
    Empty,
    /// Longer, or larger in memory, than is read.
    #[error("the descriptor set is too large: at most {} MiB are read", MAX_SET >> 20)]
    TooLarge,
}

impl Schemas {
    /// Reads a `FileDescriptorSet` as `protoc --descriptor_set_out` and `buf build` write it, or one
    /// `FileDescriptorProto`. What servers tell through reflection is learned besides.
    ///
    /// # Errors
    /// When the bytes are none, or describe nothing.
    pub fn parse(set: &[u8]) -> Result<Self, SchemaError> {
        if set.len() > MAX_SET {
            return Err(SchemaError::TooLarge);
        }
        if is_source(set) {
            return Err(SchemaError::Source);
        }
        let mut pool = Pool::new(MAX_MEMORY);
        let add = |pool: &mut Pool, file: &[u8]| {
            descriptor::add_file(pool, file).map_err(|_| SchemaError::TooLarge)
        };
        let (mut rest, mut single) = (set, false);
        while !rest.is_empty() {
            let at = set.len() - rest.len();
            match wire::field(&mut rest) {
                Some((1, Value::Bytes(file))) => {
                    if !single && wire::is_message(file) {
                        add(&mut pool, file)?;
                    }
                }
                // Of a file alone field 1 is its name.
                Some((2..=14, _)) => single = true,
                Some((_, Value::Varint(_) | Value::Bytes(_))) => {}
                _ => return Err(SchemaError::Damaged(at)),
            }
        }
        if single {
            add(&mut pool, set)?;
        }
        if pool.is_empty() {
            return Err(SchemaError::Empty);
        }
        Ok(Self { given: Some(Arc::new(pool)), learned: Arc::default() })
    }

    /// Names of types that the descriptor set refers to and does not describe, in order: it was
    /// written without its imports. Messages of these types are shown without names.
    pub fn missing(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.given.iter().flat_map(|pool| pool.missing()).collect();
        names.sort_unstable();
        names
    }

    /// Looks a method of `server` up and shows what describes it: what was given counts, then what
    /// that server has told, then what any has told.
    pub(super) fn with<R>(
        &self,
        server: Endpoint,
        service: &[u8],
        method: &[u8],
        use_it: impl FnOnce(&Pool, Signature) -> R,
    ) -> Option<R> {
        if let Some(pool) = &self.given
            && let Some(signature) = pool.method(service, method)
        {
            return Some(use_it(pool, signature));
        }
        self.learned.with(server, service, method, use_it)
    }
}

/// Printable text that begins as the language for schemas does.
fn is_source(set: &[u8]) -> bool {
    let front = set.get(..256).unwrap_or(set).trim_ascii_start();
    let words: [&[u8]; 8] =
        [b"syntax", b"edition", b"package", b"import", b"message", b"option", b"//", b"/*"];
    words.iter().any(|word| front.starts_with(word))
        && front.iter().all(|&b| b >= b' ' || matches!(b, b'\n' | b'\r' | b'\t'))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use self::tests::part;

//! The words that the tables of fields are written in.
#![allow(non_upper_case_globals, reason = "they stand where types and kinds of storage do")]

pub(super) use super::Scope::{Both, Call, Flow, Protocol as Of, Several};
pub(super) use super::Storage::{Late, Repeating, Stored};
pub(super) use super::{FieldDef, FieldId};
pub(super) use crate::Protocol::{self, *};

use super::{Case, FieldType, Rule, Storage};

/// A type, and how its texts are written.
pub(super) struct Spec {
    pub(super) ty: FieldType,
    pub(super) case: Case,
}

const fn spec(ty: FieldType, case: Case) -> Spec {
    Spec { ty, case }
}

pub(super) const Bool: Spec = spec(FieldType::Bool, Case::Any);
pub(super) const Int: Spec = spec(FieldType::Int, Case::Any);
pub(super) const Text: Spec = spec(FieldType::Text, Case::Any);
pub(super) const UpperText: Spec = spec(FieldType::Text, Case::Upper);
pub(super) const LowerText: Spec = spec(FieldType::Text, Case::Lower);
pub(super) const List: Spec = spec(FieldType::List, Case::Any);
pub(super) const UpperList: Spec = spec(FieldType::List, Case::Upper);
pub(super) const LowerList: Spec = spec(FieldType::List, Case::Lower);
pub(super) const Map: Spec = spec(FieldType::Map, Case::Any);
pub(super) const Time: Spec = spec(FieldType::Time, Case::Any);

/// Computed by a rule that the store alone knows.
pub(super) const Derived: Storage = Storage::Derived(Rule::Own);

/// True for calls of this protocol, and of those whose parent it is.
pub(super) const fn flag(of: Protocol) -> Storage {
    Storage::Derived(Rule::Flag(of))
}

/// Bytes of the request.
pub(super) const fn request_size(of: Protocol) -> Storage {
    Storage::Derived(Rule::RequestSize(of))
}

/// Bytes of the response.
pub(super) const fn response_size(of: Protocol) -> Storage {
    Storage::Derived(Rule::ResponseSize(of))
}

/// Bytes of both.
pub(super) const fn total_size(of: Protocol) -> Storage {
    Storage::Derived(Rule::TotalSize(of))
}

/// True when the request was seen.
#[allow(dead_code, reason = "a word of the tables like the others")]
pub(super) const fn request_seen(of: Protocol) -> Storage {
    Storage::Derived(Rule::RequestSeen(of))
}

/// True when the response was seen.
#[allow(dead_code, reason = "a word of the tables like the others")]
pub(super) const fn response_seen(of: Protocol) -> Storage {
    Storage::Derived(Rule::ResponseSeen(of))
}

//! GraphQL.

use super::spec::*;

fields! { after ws;
    GQL "gql" Bool Call, flag(Gql), "gql", "true for GraphQL operations";
}

/// What a call asked, in a line: the values of these, joined by a space.
pub(crate) const ASKED: &[FieldId] = &[];

/// How it ended: the first of these that has a value.
pub(crate) const ENDED: &[FieldId] = &[];

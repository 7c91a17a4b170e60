//! Where results go.

use remora_model::{Call, FlowRow};

use crate::Problem;

/// Receives what the engine finds, in the order in which it is found.
pub trait Sink {
    /// A finished call. It borrows from the dissector: copy what is to be kept.
    fn call(&mut self, call: &Call<'_>);

    /// A flow's state.
    fn flow(&mut self, flow: &FlowRow<'_>);

    /// Something that was not understood or not kept; `bytes` is how much it concerned.
    fn problem(&mut self, problem: Problem, bytes: u64);
}

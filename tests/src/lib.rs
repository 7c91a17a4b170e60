//! What the tests of the whole product share.

pub mod e2e;
pub mod faults;

//! Opening records with keys.

mod cbc_mac;
mod kdf;
mod opener;
mod suite;

pub(super) use kdf::{expand_label, prf};
pub(super) use opener::{Opener, Schedule};
pub(super) use suite::{Algorithm, Hash, Suite};

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod protocol;
mod security;
mod simulation;

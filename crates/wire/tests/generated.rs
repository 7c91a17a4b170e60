//! The committed code is what the `.proto` file gives. `UPDATE=1 cargo test -p remora-wire --test
//! generated` rewrites it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let set = protox::compile(["remora/wire/v1/ingest.proto"], [root.join("proto")]).unwrap();
    tonic_prost_build::configure()
        .bytes(".remora.wire.v1.Table.ipc")
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds(set)
        .unwrap();
    let fresh = std::fs::read_to_string(out.path().join("remora.wire.v1.rs")).unwrap();
    let committed = root.join("src/proto/remora.wire.v1.rs");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&committed, &fresh).unwrap();
    }
    let old = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(old == fresh, "the proto file has changed: run with UPDATE=1");
}

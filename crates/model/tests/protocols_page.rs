//! The tables of fields in `docs/protocols.md` are made from the catalogue.
//! `UPDATE_EXPECT=1 cargo test -p remora-model --test protocols_page` writes them anew.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fmt::Write as _;
use std::path::Path;

use remora_model::Protocol;
use remora_model::field::{CATALOGUE, FieldDef, Scope};

const BEGIN: &str = "<!-- generated: fields -->\n";
const END: &str = "<!-- end -->";

/// The fields that calls of `protocol` have of their own, besides those of its parent.
fn fields(protocol: Protocol) -> impl Iterator<Item = &'static FieldDef> {
    CATALOGUE.iter().filter(move |f| match f.scope {
        Scope::Protocol(p) => p == protocol,
        Scope::Several(all) => all.contains(&protocol),
        Scope::Call | Scope::Flow | Scope::Both => false,
    })
}

fn tables() -> String {
    let mut out = String::new();
    for &protocol in Protocol::ALL {
        if fields(protocol).next().is_none() {
            continue;
        }
        writeln!(out, "\n### `{}`\n", protocol.name()).unwrap();
        if let Some(parent) = protocol.parent() {
            writeln!(out, "Has the fields of `{}` as well, and its flag holds.\n", parent.name()).unwrap();
        }
        writeln!(out, "| field | type | meaning | example |\n|---|---|---|---|").unwrap();
        for f in fields(protocol) {
            let (ty, example) = (f.ty.name(), f.example.replace('|', "\\|"));
            writeln!(out, "| `{}` | {ty} | {} | `{example}` |", f.name, f.meaning.replace('|', "\\|"))
                .unwrap();
        }
    }
    out
}

#[test]
fn the_page_has_the_fields_of_the_catalogue() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols.md");
    let old = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = old.split_once(BEGIN).expect("the line that begins the tables");
    let (_, after) = rest.split_once(END).expect("the line that ends the tables");
    let new = format!("{before}{BEGIN}{}\n{END}{after}", tables());
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&page, new).unwrap();
    } else {
        assert!(old == new, "run UPDATE_EXPECT=1 cargo test -p remora-model --test protocols_page");
    }
}

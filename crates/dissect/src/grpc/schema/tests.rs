use super::*;
use crate::grpc::json;

const SET: &[u8] = include_bytes!("../../../tests/corpus/http2/typed.set");

fn server(port: u16) -> Endpoint {
    Endpoint { ip: "10.0.0.2".parse().unwrap(), port }
}

/// A field of protobuf whose value is bytes.
pub(in crate::grpc) fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut len = bytes.len();
    while len > 0x7f {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
    out
}

/// A file with one message `a.M`, whose field 1 is a string of that name, and a service `a.S` with
/// the method `Do` that takes and gives it.
fn file(field: &str) -> Vec<u8> {
    let field = [part(1, field.as_bytes()), vec![3 << 3, 1, 5 << 3, 9]].concat();
    let message = [part(1, b"M"), part(2, &field)].concat();
    let method = [part(1, b"Do"), part(2, b".a.M"), part(3, b".a.M")].concat();
    let service = [part(1, b"S"), part(2, &method)].concat();
    [part(1, b"a.proto"), part(2, b"a"), part(4, &message), part(6, &service)].concat()
}

/// How a request of `a.S/Do` to a server is shown.
fn shown(schemas: &Schemas, port: u16) -> Option<String> {
    schemas.with(server(port), b"a.S", b"Do", |pool, signature| {
        let mut out = Vec::new();
        json::render(pool, signature.types[0], b"\x0a\x01x", false, &mut Vec::new(), &mut out, 100);
        String::from_utf8(out).unwrap()
    })
}

#[test]
fn a_set_describes_methods() {
    let schemas = Schemas::parse(SET).unwrap();
    assert_eq!(schemas.missing(), Vec::<&str>::new());
    let streams = |method: &[u8]| {
        schemas.with(server(1), b"remora.typed.Typed", method, |_, signature| signature.streams)
    };
    assert_eq!(streams(b"Echo"), Some([false, false]));
    assert_eq!(streams(b"Watch"), Some([false, true]));
    assert_eq!(streams(b"Other"), None);
    // A single file is taken as well.
    assert_eq!(shown(&Schemas::parse(&file("name")).unwrap(), 1).unwrap(), r#"{"name":"x"}"#);
    assert_eq!(shown(&Schemas::parse(&part(1, &file("my_name"))).unwrap(), 1).unwrap(), r#"{"myName":"x"}"#);
}

#[test]
fn what_is_no_set_is_refused_with_a_remedy() {
    let refused = |bytes: &[u8]| Schemas::parse(bytes).unwrap_err();
    assert_eq!(refused(b"\n// Shop.\nsyntax = \"proto3\";\n"), SchemaError::Source);
    assert_eq!(refused(b"syntax = \"proto3\";"), SchemaError::Source);
    assert_eq!(refused(b""), SchemaError::Empty);
    assert_eq!(refused(&part(1, b"")), SchemaError::Empty);
    assert_eq!(refused(&part(1, &part(1, b"only-a-name.proto"))), SchemaError::Empty);
    assert_eq!(refused(b"\x0a\x00\xff\xff"), SchemaError::Damaged(2));
    assert_eq!(refused(&SET[..SET.len() - 1]).to_string().split(':').next(), Some("not a descriptor set"));
    assert!(matches!(refused(b"{\"a\": 1}"), SchemaError::Damaged(0)));
}

#[test]
fn types_that_were_left_out_are_named() {
    let field = [part(1, b"f"), vec![3 << 3, 1, 5 << 3, 11], part(6, b".b.Other")].concat();
    let time = [part(1, b"t"), vec![3 << 3, 2, 5 << 3, 11], part(6, b".google.protobuf.Timestamp")].concat();
    let message = [part(1, b"M"), part(2, &field), part(2, &time)].concat();
    let set = part(1, &[part(2, b"a"), part(4, &message)].concat());
    assert_eq!(Schemas::parse(&set).unwrap().missing(), ["b.Other"]);
}

#[test]
fn a_server_s_own_word_counts_for_it_and_the_newest_for_others() {
    let schemas = Schemas::default();
    assert_eq!(shown(&schemas, 1), None);
    assert!(schemas.learned.learn(server(1), &file("one")));
    assert!(schemas.clone().learned.learn(server(2), &file("two")));
    let names = [1, 2, 3].map(|port| shown(&schemas, port).unwrap());
    assert_eq!(names, [r#"{"one":"x"}"#, r#"{"two":"x"}"#, r#"{"two":"x"}"#]);
    // A new version replaces the old one.
    assert!(schemas.learned.learn(server(1), &file("new")));
    assert_eq!(shown(&schemas, 1).unwrap(), r#"{"new":"x"}"#);
    // What the user has given counts more.
    let given = Schemas { learned: Arc::clone(&schemas.learned), ..Schemas::parse(&file("given")).unwrap() };
    assert_eq!(shown(&given, 1).unwrap(), r#"{"given":"x"}"#);
}

#[test]
fn what_servers_tell_is_bounded() {
    let schemas = Schemas::default();
    for port in 0..100 {
        assert!(schemas.learned.learn(server(port), &file(&format!("f{port}"))));
    }
    assert_eq!(shown(&schemas, 0).unwrap(), r#"{"f99":"x"}"#, "the first were forgotten");
    assert_eq!(shown(&schemas, 50).unwrap(), r#"{"f50":"x"}"#);
    // Ever new versions do not fill it for good.
    for i in 0..300 {
        let name = format!("{}{i}", "n".repeat(20_000));
        assert!(schemas.learned.learn(server(50), &file(&name)));
    }
    assert!(schemas.learned.learn(server(50), &file("last")));
    assert_eq!(shown(&schemas, 50).unwrap(), r#"{"last":"x"}"#);
}

#[test]
fn hostile_descriptors_are_bounded() {
    // Messages in messages, with long names.
    let mut deep = part(1, &[b'd'; 100]);
    for _ in 0..200 {
        deep = [part(1, &[b'd'; 100]), part(3, &deep)].concat();
    }
    assert!(Schemas::parse(&part(1, &part(4, &deep))).is_err());
    // Many small fields, which need more memory than they have bytes.
    let fields = [part(2, &[3 << 3, 1, 5 << 3, 9])].concat().repeat(200_000);
    let message = [part(1, b"M"), fields].concat();
    assert!(!Schemas::default().learned.learn(server(1), &part(4, &message)));
    // Any damage.
    for i in (0..SET.len()).step_by(11) {
        let mut damaged = SET.to_vec();
        damaged[i] ^= [1, 0x80, 0xff][i % 3];
        _ = Schemas::parse(&damaged);
        _ = Schemas::parse(&SET[..i]);
    }
}

//! What calls over HTTP say.
#![allow(clippy::unwrap_used)]

use super::*;

fn read(bodies: Bodies<'_>) -> Option<String> {
    let mut texts = Texts::default();
    let gql = Gql::exchange(&bodies, &mut texts)?;
    let at = |span| String::from_utf8_lossy(texts.at(span)).into_owned();
    let list = |l: Listed| {
        let mut all = Vec::new();
        l.each(|s| all.push(at(s)));
        all.join(",")
    };
    Some(format!(
        "{}|{}|{}|{}|{}|{:?}|{}|{}|{}|{}",
        gql.kind,
        at(gql.name),
        list(gql.fields),
        at(gql.variables),
        at(gql.hash),
        gql.batch,
        list(gql.errors),
        list(gql.codes),
        gql.failed,
        gql.client_error
    ))
}

fn post<'a>(request: &'a str, response: &'a str) -> Bodies<'a> {
    Bodies {
        target: b"/graphql",
        request_type: b"application/json",
        request: request.as_bytes(),
        response: response.as_bytes(),
        ..Bodies::default()
    }
}

#[test]
fn posts_of_json_are_read() {
    let ok = r#"{"data":{"shop":{"id":1}}}"#;
    let request = r#"{"operationName":"Shop","query":"query Shop($id: ID!) {\n  shop(id: $id) { id }\n}","variables":{"id":"7"}}"#;
    assert_eq!(read(post(request, ok)).unwrap(), r#"query|Shop|shop|{"id":"7"}||None|||false|false"#);
    let errors = r#"{"errors":[{"message":"no \"shop\"","extensions":{"code":"BAD_USER_INPUT"}},{"message":"b"}],"data":null}"#;
    let failed = r#"query|Shop|shop|{"id":"7"}||None|no "shop",b|BAD_USER_INPUT|true|true"#;
    assert_eq!(read(post(request, errors)).unwrap(), failed);
    assert_eq!(
        read(post(r#"{"query":"mutation{buy}"}"#, r#"{"errors":[]}"#)).unwrap(),
        "mutation||buy|||None|||false|false"
    );
    let persisted =
        r#"{"operationName":"Q","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ecf4"}}}"#;
    let missing = r#"{"errors":[{"message":"PersistedQueryNotFound","extensions":{"code":"PERSISTED_QUERY_NOT_FOUND"}}]}"#;
    assert_eq!(
        read(post(persisted, missing)).unwrap(),
        "|Q|||ecf4|None|PersistedQueryNotFound|PERSISTED_QUERY_NOT_FOUND|true|true"
    );
    let batch = r#"[{"query":"query A{a}"},{"query":"{b}"}]"#;
    assert_eq!(
        read(post(batch, r#"[{"data":{}},{"errors":[{"message":"m"}]}]"#)).unwrap(),
        "query|A|a,b|||Some(2)|m||true|false"
    );
}

#[test]
fn other_ways_to_ask_are_read() {
    let get = Bodies {
        target: b"/graphql?query=query+Q(%24a:Int)%7Bitem(id:%24a)%7Bid%7D%7D&variables=%7B%22a%22%3A1%7D&operationName=Q",
        response: b"{\"data\":{}}",
        ..Bodies::default()
    };
    assert_eq!(read(get).unwrap(), r#"query|Q|item|{"a":1}||None|||false|false"#);
    let hash =
        "/graphql?extensions=%7B%22persistedQuery%22:%7B%22version%22:1,%22sha256Hash%22:%22ab%22%7D%7D";
    assert_eq!(
        read(Bodies { target: hash.as_bytes(), ..Bodies::default() }).unwrap(),
        "||||ab|None|||false|false"
    );
    let document = Bodies {
        request_type: b"application/graphql; charset=utf-8",
        request: b"{ a }",
        ..Bodies::default()
    };
    assert_eq!(read(document).unwrap(), "query||a|||None|||false|false");
    let upload = b"--x\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation($f:Upload!){up(f:$f)}\",\"variables\":{\"f\":null}}\r\n--x\r\n";
    let upload =
        Bodies { request_type: b"multipart/form-data; boundary=x", request: upload, ..Bodies::default() };
    assert_eq!(read(upload).unwrap(), "mutation||up|{\"f\":null}||None|||false|false");
    let events = b"event: next\ndata: {\"data\":{}}\n\nevent: next\ndata: {\"errors\":[{\"message\":\"late\"}]}\n\nevent: complete\n\n";
    let events = Bodies { response: events, events: true, ..post(r#"{"query":"subscription{s}"}"#, "") };
    assert_eq!(read(events).unwrap(), "subscription||s|||None|late||true|false");
}

#[test]
fn what_is_something_else_is_none() {
    for request in [
        r#"{"query":{"match_all":{}}}"#,
        r#"{"query":"select * from t"}"#,
        r#"{"query":""}"#,
        r#"{"jsonrpc":"2.0","method":"query"}"#,
        r#""query""#,
        "{ a }",
        "",
    ] {
        assert_eq!(read(post(request, "")), None, "{request}");
    }
    for target in
        ["/api/v1/query?query=up", "/q?query=%7Bjob%3D%22x%22%7D", "/q?query=", "/q?myquery=%7Ba%7D", "/q"]
    {
        assert_eq!(read(Bodies { target: target.as_bytes(), ..Bodies::default() }), None, "{target}");
    }
}

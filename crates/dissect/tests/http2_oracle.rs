//! What another implementation says (the `h2` crate, both sides of it) is what is understood of it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use remora_dissect::harness::{Harness, Recorded, Recorder};
use remora_dissect::{Ending, Limits, Role, http2};
use remora_model::{Transport, field as f};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What was written, in order.
type Log = Arc<Mutex<Vec<(Role, Vec<u8>)>>>;

/// One end of a connection, of which all that is written is noted.
struct Noted {
    inner: DuplexStream,
    role: Role,
    log: Log,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(n)) = &done {
            self.log.lock().unwrap().push((self.role, bytes[..*n].to_vec()));
        }
        done
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n) as usize
    }
}

/// What one exchange is to be.
#[derive(Clone, Debug)]
struct Plan {
    fields: Vec<(String, String)>,
    answer: Vec<(String, String)>,
    sent: Vec<u8>,
    got: Vec<u8>,
    status: u16,
    trailer: bool,
}

fn plan(numbers: &mut Numbers, id: usize) -> Plan {
    let fields = |n: &mut Numbers| -> Vec<(String, String)> {
        // Names and values that come again, and some that do not.
        let count = n.below(8);
        (0..count)
            .map(|_| {
                let long = if n.below(6) == 0 { 200 } else { 4 };
                let value = if n.below(3) == 0 { n.below(1 << 30) } else { n.below(4) };
                (format!("x-name-{}", n.below(12)), format!("{value:0long$}"))
            })
            .collect()
    };
    let (mut request, answer) = (fields(numbers), fields(numbers));
    request.push(("x-id".to_owned(), id.to_string()));
    let size = |n: &mut Numbers| if n.below(5) == 0 { n.below(60_000) } else { n.below(100) };
    let body = |n: &mut Numbers| -> Vec<u8> { (0..size(n)).map(|i| i as u8).collect() };
    Plan {
        fields: request,
        answer,
        sent: body(numbers),
        got: body(numbers),
        status: [200, 204, 404, 500, 299][numbers.below(5)],
        trailer: numbers.below(3) == 0,
    }
}

fn headers(map: &mut HeaderMap, fields: &[(String, String)]) {
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        let mut value: http::HeaderValue = value.parse().unwrap();
        value.set_sensitive(value.len() == 4 && value.as_bytes()[3] == b'3');
        map.append(name, value);
    }
}

async fn send(mut stream: h2::SendStream<Bytes>, body: &[u8], trailer: bool) {
    let mut rest = Bytes::copy_from_slice(body);
    loop {
        stream.reserve_capacity(rest.len());
        let mut room = stream.capacity();
        if room == 0 && !rest.is_empty() {
            room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await.unwrap().unwrap();
        }
        let part = rest.split_to(room.min(rest.len()).min(7_000));
        let last = rest.is_empty();
        stream.send_data(part, last && !trailer).unwrap();
        if last {
            break;
        }
    }
    if trailer {
        let mut map = HeaderMap::new();
        map.insert("x-trailer", "yes".parse().unwrap());
        stream.send_trailers(map).unwrap();
    }
}

async fn receive(mut stream: h2::RecvStream) {
    while let Some(part) = stream.data().await {
        let n = part.unwrap().len();
        stream.flow_control().release_capacity(n).unwrap();
    }
    stream.trailers().await.unwrap();
}

/// A connection on which all of `plans` are spoken at once.
async fn converse(plans: Arc<Vec<Plan>>) -> Vec<(Role, Vec<u8>)> {
    let log = Log::default();
    let (near, far) = tokio::io::duplex(8 << 10);
    let noted = |inner, role| Noted { inner, role, log: Arc::clone(&log) };
    let (near, far) = (noted(near, Role::Client), noted(far, Role::Server));
    let asked = Arc::clone(&plans);
    let server = tokio::spawn(async move {
        let mut connection = h2::server::Builder::new()
            .header_table_size(1_024)
            .max_frame_size(20_000)
            .handshake(far)
            .await
            .unwrap();
        let mut answers = Vec::new();
        while let Some(request) = connection.accept().await {
            let (request, mut respond) = request.unwrap();
            let id: usize = request.headers()["x-id"].to_str().unwrap().parse().unwrap();
            let plan = asked[id].clone();
            answers.push(tokio::spawn(async move {
                receive(request.into_body()).await;
                let mut response = Response::builder().status(plan.status).body(()).unwrap();
                headers(response.headers_mut(), &plan.answer);
                let empty = plan.got.is_empty() && !plan.trailer;
                let stream = respond.send_response(response, empty).unwrap();
                if !empty {
                    send(stream, &plan.got, plan.trailer).await;
                }
            }));
        }
        for answer in answers {
            answer.await.unwrap();
        }
    });
    let (client, connection) =
        h2::client::Builder::new().header_table_size(8_192).handshake::<_, Bytes>(near).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut calls = Vec::new();
    for (id, plan) in plans.iter().cloned().enumerate() {
        let mut client = client.clone().ready().await.unwrap();
        let mut request = Request::post(format!("http://shop.example:8080/call/{id}?a=b")).body(()).unwrap();
        headers(request.headers_mut(), &plan.fields);
        let empty = plan.sent.is_empty() && !plan.trailer;
        let (response, stream) = client.send_request(request, empty).unwrap();
        calls.push(tokio::spawn(async move {
            if !empty {
                send(stream, &plan.sent, plan.trailer).await;
            }
            receive(response.await.unwrap().into_body()).await;
        }));
        // Some begin while others are under way.
        if id % 5 == 0 {
            tokio::task::yield_now().await;
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    drop(client);
    connection.await.unwrap().unwrap();
    server.await.unwrap();
    Arc::try_unwrap(log).unwrap().into_inner().unwrap()
}

fn check(call: &Recorded, plans: &[Plan]) {
    let id: usize = call.entry(f::REQUEST_HEADERS, "x-id").unwrap().parse().unwrap();
    let plan = &plans[id];
    assert_eq!((call.text(f::URL), call.text(f::HOST)), (format!("/call/{id}?a=b"), "shop.example".into()));
    assert_eq!((call.incomplete, call.int(f::STATUS_CODE)), (None, Some(i64::from(plan.status))));
    assert_eq!(call.int(f::REQUEST_BODY_SIZE), Some(plan.sent.len() as i64));
    assert_eq!(call.int(f::RESPONSE_BODY_SIZE), Some(plan.got.len() as i64));
    assert!(call.get(f::HTTP2_UNKNOWN_HEADERS).is_none());
    for (side, fields) in [(f::REQUEST_HEADERS, &plan.fields), (f::RESPONSE_HEADERS, &plan.answer)] {
        let mut joined: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        fields.iter().for_each(|(n, v)| joined.entry(n).or_default().push(v));
        for (name, values) in joined {
            assert_eq!(call.entry(side, name), Some(values.join(", ")), "{name}");
        }
        assert_eq!(call.entry(side, "x-trailer").is_some(), plan.trailer);
    }
}

#[tokio::test]
async fn what_h2_says_is_understood_however_it_is_split() {
    for seed in 0..12 {
        let mut numbers = Numbers(seed);
        let plans: Arc<Vec<Plan>> = Arc::new((0..40).map(|id| plan(&mut numbers, id)).collect());
        let said = converse(Arc::clone(&plans)).await;
        for piece in [usize::MAX, 1_000, 13, 1] {
            let mut flow = Harness::with(
                &http2::ENTRY,
                Transport::Tcp,
                Limits { payload: 500, ..Limits::default() },
                Recorder::default(),
            );
            for (role, bytes) in &said {
                bytes.chunks(piece).for_each(|part| _ = flow.send(*role, part));
            }
            flow.close(Ending::Closed);
            assert_eq!(flow.sink.calls.len(), plans.len(), "{:?}", flow.sink.problems);
            flow.sink.calls.iter().for_each(|call| check(call, &plans));
            assert!(flow.sink.problems.keys().all(|p| *p == remora_dissect::Problem::PayloadLimit));
            assert!(!flow.dissector().is_busy());
        }
    }
}

//! A drawn call with the fields of its protocol.

mod data;

use std::fmt::Write as _;

use remora_model::{
    BatchSet, Call, CallId, CaptureSource, FieldId, FlowId, Protocol, Side, Sides, Timestamp, Transport,
    ValueRef, field as f,
};

use crate::random::Random;
use crate::services::{Edge, SERVICES, endpoint};
use crate::{Request, capture_bytes, text};

/// Connections that a client keeps open to one server.
const POOL: u64 = 16;

/// What a call needs room for; used again for each.
#[derive(Default)]
pub(crate) struct Writer {
    url: String,
    asked: String,
    answered: String,
    trace: String,
    span: String,
    header: String,
    length: String,
}

/// What is drawn before the call is written.
struct Draw<'a> {
    id: CallId,
    edge: &'a Edge,
    ts: Timestamp,
    request: &'a Request,
    failed: bool,
    elapsed: i64,
}

/// What is known once its messages are written.
struct Sizes {
    client_error: bool,
    request: i64,
    response: i64,
}

impl Writer {
    /// Adds a call; the bytes that it has in a capture file.
    pub(crate) fn write(
        &mut self,
        set: &mut BatchSet,
        id: CallId,
        edge: &Edge,
        ts: Timestamp,
        request: &Request,
        random: &mut Random,
    ) -> u64 {
        let outage = request.outage && edge.protocol == Protocol::Grpc && edge.median > 100_000.0;
        let failed = random.chance(if outage { 0.6 } else { edge.errors });
        let elapsed = random.lasting(if outage { edge.median * 8.0 } else { edge.median });
        self.url.clear();
        self.asked.clear();
        self.answered.clear();
        let draw = Draw { id, edge, ts, request, failed, elapsed };
        match edge.protocol {
            Protocol::Http => self.http(set, random, &draw),
            Protocol::Grpc => self.grpc(set, random, &draw),
            Protocol::Dns => self.dns(set, random, &draw),
            Protocol::Redis => self.redis(set, random, &draw),
            Protocol::Kafka => self.kafka(set, random, &draw),
            Protocol::Amqp => self.amqp(set, random, &draw),
            Protocol::Mongodb => self.mongodb(set, random, &draw),
            _ => self.postgresql(set, random, &draw),
        }
    }

    fn trace(&mut self, request: &Request, random: &mut Random) {
        self.trace.clear();
        self.span.clear();
        self.header.clear();
        _ = write!(self.trace, "{:032x}", request.trace);
        _ = write!(self.span, "{:016x}", random.next());
        _ = write!(self.header, "00-{}-{}-01", self.trace, self.span);
    }

    fn http(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { edge, request, failed, .. } = draw;
        let server = SERVICES.get(edge.server).map_or("", |s| s.name);
        self.trace(request, random);
        let (article, user) = (request.article, request.user);
        let mut post = false;
        match server {
            "web" => _ = write!(self.url, "/shop/articles/{article}?ref={}", random.below(40)),
            "users" => _ = write!(self.url, "/api/users/{user}"),
            "catalogue" => _ = write!(self.url, "/api/articles/{article}?fields=all"),
            "search" => {
                _ = write!(self.url, "/api/search?q=word{}&page={}", random.skewed(3_000), random.skewed(9))
            }
            "reviews" => _ = write!(self.url, "/api/articles/{article}/reviews"),
            "cart" => {
                post = random.chance(0.5);
                _ = write!(self.url, "/api/carts/{user}/items");
            }
            "checkout" => {
                post = true;
                self.url.push_str("/api/checkout");
            }
            _ => {
                post = random.chance(0.7);
                _ = write!(self.url, "/api/orders/{}", request.number);
            }
        }
        if post {
            _ = write!(
                self.asked,
                "{{\"user\":{user},\"article\":{article},\"count\":{},\"note\":\"",
                random.below(5) + 1
            );
            text::words(&mut self.asked, 6, random);
            self.asked.push_str("\"}");
        }
        let client_error = !failed && random.chance(0.02);
        let status = match (failed, client_error) {
            (true, _) => [500, 502, 503, 504][random.skewed(4) as usize & 3],
            (_, true) => [404, 400, 401, 409][random.skewed(4) as usize & 3],
            _ if post => 201,
            _ => 200,
        };
        if failed || client_error {
            _ = write!(
                self.answered,
                "{{\"error\":{{\"code\":{status},\"message\":\"request {} failed\"}}}}",
                request.number
            );
        } else {
            _ = write!(self.answered, "{{\"request\":{},\"items\":[", request.number);
            for at in 0..1 + random.skewed(6) {
                if at > 0 {
                    self.answered.push(',');
                }
                text::article(&mut self.answered, article + at, 8, random);
            }
            self.answered.push_str("]}");
        }
        self.length.clear();
        _ = write!(self.length, "{}", self.answered.len());
        let agent = match edge.client {
            0 => ["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone)", "okhttp/4.12.0"]
                [random.skewed(3) as usize],
            _ => "Go-http-client/1.1",
        };
        let request_headers: [(&[u8], &[u8]); 6] = [
            (b"host", server.as_bytes()),
            (b"user-agent", agent.as_bytes()),
            (b"accept", b"application/json"),
            (b"accept-encoding", b"gzip"),
            (b"traceparent", self.header.as_bytes()),
            (b"x-request-id", self.span.as_bytes()),
        ];
        let response_headers: [(&[u8], &[u8]); 4] = [
            (b"content-type", b"application/json"),
            (b"content-length", self.length.as_bytes()),
            (b"server", b"shop/2.4"),
            (b"cache-control", b"no-store"),
        ];
        let path = self.url.split('?').next().unwrap_or_default();
        let head = 210 + self.url.len() as i64;
        let mut fields = vec![
            (f::METHOD, ValueRef::str(if post { "POST" } else { "GET" })),
            (f::URL, ValueRef::str(&self.url)),
            (f::PATH, ValueRef::str(path)),
            (f::HOST, ValueRef::str(server)),
            (f::HTTP_VERSION, ValueRef::str("HTTP/1.1")),
            (f::STATUS_CODE, ValueRef::Int(status)),
            (f::REQUEST_HEADERS, ValueRef::Map(&request_headers)),
            (f::RESPONSE_HEADERS, ValueRef::Map(&response_headers)),
            (f::REQUEST_HEADERS_SIZE, ValueRef::Int(head)),
            (f::REQUEST_BODY_SIZE, ValueRef::Int(self.asked.len() as i64)),
            (f::RESPONSE_HEADERS_SIZE, ValueRef::Int(120)),
            (f::RESPONSE_BODY_SIZE, ValueRef::Int(self.answered.len() as i64)),
            (f::REQUEST_BODY_TRUNCATED, ValueRef::Bool(false)),
            (f::RESPONSE_BODY_TRUNCATED, ValueRef::Bool(false)),
            (f::CONTENT_TYPE, ValueRef::str("application/json")),
            (f::USER_AGENT, ValueRef::str(agent)),
            (f::TRACE_ID, ValueRef::str(&self.trace)),
            (f::SPAN_ID, ValueRef::str(&self.span)),
            (f::RESPONSE_BODY, ValueRef::str(&self.answered)),
        ];
        if post {
            fields.push((f::REQUEST_BODY, ValueRef::str(&self.asked)));
        }
        let (request, response) = (head + self.asked.len() as i64, 120 + self.answered.len() as i64);
        add(set, random, draw, &Sizes { client_error, request, response }, &mut fields)
    }

    fn grpc(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let &Draw { edge, request, failed, .. } = draw;
        let server = SERVICES.get(edge.server).map_or("", |s| s.name);
        self.trace(request, random);
        let (service, method) = match server {
            "payment" => ("shop.Payment", "Charge"),
            "shipping" => ("shop.Shipping", "Quote"),
            "pricing" => ("shop.Pricing", "Price"),
            _ => ("shop.Recommend", "ForUser"),
        };
        _ = write!(self.url, "/{service}/{method}");
        _ = write!(self.asked, "{{\"1\":{},\"2\":{},\"3\":\"EUR\"}}", request.user, request.article);
        if !failed {
            _ = write!(self.answered, "{{\"1\":{},\"2\":{}}}", random.below(100_000), request.number);
        }
        let headers: [(&[u8], &[u8]); 3] = [
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"traceparent", self.header.as_bytes()),
        ];
        let answered: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/grpc")];
        let (status, name) = if failed { (14, "UNAVAILABLE") } else { (0, "OK") };
        let mut fields = vec![
            (f::METHOD, ValueRef::str("POST")),
            (f::URL, ValueRef::str(&self.url)),
            (f::PATH, ValueRef::str(&self.url)),
            (f::HOST, ValueRef::str(server)),
            (f::HTTP_VERSION, ValueRef::str("HTTP/2")),
            (f::STATUS_CODE, ValueRef::Int(200)),
            (f::REQUEST_HEADERS, ValueRef::Map(&headers)),
            (f::RESPONSE_HEADERS, ValueRef::Map(&answered)),
            (f::CONTENT_TYPE, ValueRef::str("application/grpc")),
            (f::TRACE_ID, ValueRef::str(&self.trace)),
            (f::SPAN_ID, ValueRef::str(&self.span)),
            (f::GRPC_SERVICE, ValueRef::str(service)),
            (f::GRPC_METHOD, ValueRef::str(method)),
            (f::GRPC_STATUS, ValueRef::Int(status)),
            (f::GRPC_STATUS_NAME, ValueRef::str(name)),
            (f::GRPC_KIND, ValueRef::str("unary")),
            (f::REQUEST_BODY, ValueRef::str(&self.asked)),
            (f::RESPONSE_BODY, ValueRef::str(&self.answered)),
        ];
        if failed {
            fields.push((f::GRPC_MESSAGE, ValueRef::str("upstream connect error")));
        }
        let (request, response) = (90 + self.asked.len() as i64 / 2, 60 + self.answered.len() as i64 / 2);
        add(set, random, draw, &Sizes { client_error: false, request, response }, &mut fields)
    }

    fn dns(&mut self, set: &mut BatchSet, random: &mut Random, draw: &Draw<'_>) -> u64 {
        let failed = draw.failed;
        let at = random.skewed(SERVICES.len() as u64) as usize;
        let name = SERVICES.get(at).map_or("", |s| s.name);
        let suffix = if failed { "shop.svc.cluster.local.shop" } else { "shop.svc.cluster.local" };
        _ = write!(self.asked, "{name}.{suffix}");
        _ = write!(self.answered, "10.42.0.{}", at + 10);
        let (question, answer) = ([self.asked.as_bytes()], [self.answered.as_bytes()]);
        let (kind, flags): ([&[u8]; 1], [&[u8]; 2]) = ([b"A"], [b"rd", b"ra"]);
        let (code, rcode) = if failed { (3, "NXDOMAIN") } else { (0, "NOERROR") };
        let mut fields = vec![
            (f::DNS_QUESTIONS, ValueRef::List(&question)),
            (f::DNS_QUESTION_TYPES, ValueRef::List(&kind)),
            (f::DNS_ID, ValueRef::Int(random.below(65_536) as i64)),
            (f::DNS_OPCODE, ValueRef::str("QUERY")),
            (f::DNS_RCODE, ValueRef::str(rcode)),
            (f::STATUS_CODE, ValueRef::Int(code)),
            (f::DNS_FLAGS, ValueRef::List(&flags)),
            (f::DNS_REQUEST, ValueRef::Bool(true)),
            (f::DNS_RESPONSE, ValueRef::Bool(true)),
        ];
        if !failed {
            fields.push((f::DNS_ANSWERS, ValueRef::List(&answer)));
            fields.push((f::DNS_ANSWER_TYPES, ValueRef::List(&kind)));
        }
        let request = 18 + self.asked.len() as i64;
        let response = request + if failed { 75 } else { 16 };
        add(set, random, draw, &Sizes { client_error: false, request, response }, &mut fields)
    }
}

/// Adds the call with what every call has.
fn add<'a>(
    set: &mut BatchSet,
    random: &mut Random,
    draw: &Draw<'_>,
    sizes: &Sizes,
    fields: &mut Vec<(FieldId, ValueRef<'a>)>,
) -> u64 {
    let &Draw { id, edge, ts, elapsed, failed, .. } = draw;
    let none = crate::services::Service { name: "", port: 0 };
    let (client, server) =
        (SERVICES.get(edge.client).unwrap_or(&none), SERVICES.get(edge.server).unwrap_or(&none));
    let udp = edge.protocol == Protocol::Dns;
    let connection = random.below(POOL);
    fields.push((f::SRC_NAME, ValueRef::str(client.name)));
    fields.push((f::DST_NAME, ValueRef::str(server.name)));
    let position = |bytes: i64| Some(id.0 % 100_000 * bytes);
    let call = Call {
        protocol: edge.protocol,
        transport: if udp { Transport::Udp } else { Transport::Tcp },
        flow: FlowId(((edge.client * SERVICES.len() + edge.server) as u64 * POOL + connection) as i64 + 1),
        client: endpoint(edge.client, 40_000 + connection as u16),
        server: endpoint(edge.server, server.port),
        ts,
        elapsed_us: Some(elapsed),
        ttlb_us: Some(elapsed + sizes.response / 100),
        request_bytes: Some(sizes.request),
        response_bytes: Some(sizes.response),
        request_pos: position(sizes.request),
        response_pos: position(sizes.response),
        failed,
        client_error: sizes.client_error,
        incomplete: None,
        tls: edge.client == 0,
        source: if edge.client == 0 { CaptureSource::EbpfTls } else { CaptureSource::Ebpf },
        fields,
    };
    let sides = Sides {
        src: Side { process: Some(client.name), pid: Some(edge.client as i64 + 1_000), ..Side::default() },
        dst: Side { process: Some(server.name), pid: Some(edge.server as i64 + 1_000), ..Side::default() },
    };
    set.call(id, &call, &sides);
    capture_bytes(udp, sizes.request.unsigned_abs(), sizes.response.unsigned_abs())
}

//! A shop of twenty services, and who calls whom.

use std::net::{IpAddr, Ipv4Addr};

use remora_model::{Endpoint, Protocol};

/// A service: its name is that of its process as well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
}

const fn service(name: &'static str, port: u16) -> Service {
    Service { name, port }
}

/// All of them.
pub(crate) const SERVICES: [Service; 20] = [
    service("ingress", 443),
    service("web", 8080),
    service("catalogue", 8080),
    service("search", 8080),
    service("cart", 8080),
    service("checkout", 8080),
    service("payment", 50051),
    service("shipping", 50051),
    service("pricing", 50051),
    service("users", 8080),
    service("reviews", 8080),
    service("recommend", 50051),
    service("orders", 8080),
    service("mailer", 8080),
    service("postgres", 5432),
    service("redis", 6379),
    service("kafka", 9092),
    service("rabbitmq", 5672),
    service("mongodb", 27017),
    service("coredns", 53),
];

/// One service calls another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) client: usize,
    pub(crate) server: usize,
    pub(crate) protocol: Protocol,
    /// Median of the latency in microseconds.
    pub(crate) median: f64,
    /// Share of calls that fail at quiet times.
    pub(crate) errors: f64,
    /// In a thousand user requests so many lead here.
    pub(crate) per_thousand: u64,
}

const fn edge(
    client: usize,
    server: usize,
    protocol: Protocol,
    median: f64,
    errors: f64,
    per_thousand: u64,
) -> Edge {
    Edge { client, server, protocol, median, errors, per_thousand }
}

/// What a user's request leads to, in this order: each edge by its own chance.
pub(crate) const EDGES: &[Edge] = {
    use Protocol::{Amqp, Dns, Grpc, Http, Kafka, Mongodb, Postgresql, Redis};
    &[
        edge(0, 1, Http, 12_000.0, 0.004, 1_000),
        edge(1, 19, Dns, 300.0, 0.03, 350),
        edge(1, 9, Http, 3_000.0, 0.002, 500),
        edge(9, 15, Redis, 150.0, 0.000_5, 900),
        edge(9, 14, Postgresql, 900.0, 0.001, 120),
        edge(1, 2, Http, 5_000.0, 0.003, 600),
        edge(2, 15, Redis, 140.0, 0.000_5, 800),
        edge(2, 18, Mongodb, 1_200.0, 0.002, 250),
        edge(2, 8, Grpc, 1_500.0, 0.002, 400),
        edge(8, 14, Postgresql, 700.0, 0.000_5, 200),
        edge(1, 3, Http, 20_000.0, 0.006, 180),
        edge(3, 18, Mongodb, 9_000.0, 0.003, 180),
        edge(1, 11, Grpc, 6_000.0, 0.004, 300),
        edge(11, 15, Redis, 160.0, 0.000_5, 300),
        edge(1, 10, Http, 4_000.0, 0.002, 250),
        edge(10, 18, Mongodb, 1_500.0, 0.001, 250),
        edge(1, 4, Http, 2_500.0, 0.002, 220),
        edge(4, 15, Redis, 150.0, 0.000_5, 400),
        edge(4, 5, Http, 30_000.0, 0.01, 40),
        edge(5, 6, Grpc, 120_000.0, 0.02, 38),
        edge(5, 7, Grpc, 8_000.0, 0.004, 36),
        edge(5, 12, Http, 6_000.0, 0.003, 36),
        edge(12, 14, Postgresql, 2_500.0, 0.004, 110),
        edge(12, 16, Kafka, 1_800.0, 0.001, 70),
        edge(7, 16, Kafka, 1_900.0, 0.001, 40),
        edge(12, 17, Amqp, 400.0, 0.001, 36),
        edge(17, 13, Amqp, 300.0, 0.0, 36),
        edge(6, 19, Dns, 20_000.0, 0.08, 20),
    ]
};

/// Where a service listens, or calls from when `port` is that of a client.
pub(crate) fn endpoint(service: usize, port: u16) -> Endpoint {
    let last = u8::try_from(service).unwrap_or(u8::MAX);
    Endpoint { ip: IpAddr::V4(Ipv4Addr::new(10, 42, 0, last + 10)), port }
}

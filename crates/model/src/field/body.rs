//! Payload: what calls carry besides what their protocol says of them.

use super::spec::*;

/// Protocols whose calls have bodies. Kafka and Redis have fields of their own.
const WITH_BODIES: &[Protocol] = &[
    Http, Mysql, Postgresql, Amqp, Mongodb, Ldap, Radius, Diameter, Nats, Mqtt, Cassandra, Memcached, Smtp,
    Tcp, Udp, Sctp,
];

fields! { after common;
    REQUEST_BODY "request.body" Text Several(WITH_BODIES), Late, "request.body.contains(\"error\")", "what the request carried, as text after decoding, up to the payload limit; of gRPC the messages, one per line; of SQL the data that a client sends (COPY, LOCAL INFILE)";
    RESPONSE_BODY "response.body" Text Several(WITH_BODIES), Late, "response.body.contains(\"error\")", "what the response carried, as text after decoding, up to the payload limit; of gRPC the messages, one per line; of SQL the rows as lines with tabs";
    REQUEST_BODY_TRUNCATED "request_body_truncated" Bool Several(WITH_BODIES), Stored, "request_body_truncated", "true when request.body holds less than the whole body";
    RESPONSE_BODY_TRUNCATED "response_body_truncated" Bool Several(WITH_BODIES), Stored, "response_body_truncated", "true when response.body holds less than the whole body";
}

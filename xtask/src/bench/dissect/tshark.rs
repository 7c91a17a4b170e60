//! What tshark is asked for: of each protocol the fields that come nearest to what
//! `remora dissect -o tsv` prints.

use std::path::Path;

use crate::run::Run;

/// What is printed of every packet.
const COMMON: &[&str] =
    &["frame.time_epoch", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"];

/// How tshark is asked about a protocol.
pub(super) struct Asked {
    /// The name of the protocol's captures.
    pub(super) protocol: &'static str,
    /// Its display filter, which is also the name of its dissector for `-d`.
    filter: &'static str,
    /// A field that each call has once, by which calls are counted, and the value that it must
    /// have, if not all count. `None`: there is no such field.
    call: Option<(&'static str, Option<&'static str>)>,
    fields: &'static [&'static str],
}

/// Every protocol with what is asked of it. One that is not here is measured without tshark.
const ASKED: &[Asked] = &[
    Asked {
        protocol: "http",
        filter: "http",
        call: Some(("http.response.code", None)),
        fields: &["http.request.method", "http.host", "http.request.uri", "http.time"],
    },
    Asked {
        protocol: "http2",
        filter: "http2",
        call: Some(("http2.headers.status", None)),
        fields: &["http2.streamid", "http2.headers.method", "http2.headers.path", "grpc.message_length"],
    },
    Asked {
        protocol: "websocket",
        filter: "websocket",
        call: Some(("websocket.opcode", None)),
        fields: &["websocket.payload.text"],
    },
    Asked {
        protocol: "dns",
        filter: "dns",
        call: Some(("dns.flags.response", Some("0"))),
        fields: &[
            "dns.id",
            "dns.qry.name",
            "dns.qry.type",
            "dns.flags.rcode",
            "dns.count.answers",
            "dns.time",
        ],
    },
    Asked {
        protocol: "redis",
        filter: "resp",
        call: None,
        fields: &["resp.bulk_string.value", "resp.string", "resp.error"],
    },
    Asked {
        protocol: "kafka",
        filter: "kafka",
        call: Some(("kafka.request_key", None)),
        fields: &[
            "kafka.api_version",
            "kafka.correlation_id",
            "kafka.client_id",
            "kafka.topic_name",
            "kafka.error",
        ],
    },
    Asked {
        protocol: "mysql",
        filter: "mysql",
        call: Some(("mysql.command", None)),
        fields: &["mysql.query", "mysql.error_code", "mysql.stmt_id"],
    },
    Asked {
        protocol: "postgresql",
        filter: "pgsql",
        call: Some(("pgsql.type", Some("Ready for query"))),
        fields: &["pgsql.query", "pgsql.code", "pgsql.tag"],
    },
    Asked {
        protocol: "amqp",
        filter: "amqp",
        call: Some(("amqp.method.method", None)),
        fields: &["amqp.method.class", "amqp.channel"],
    },
    Asked {
        protocol: "mongodb",
        filter: "mongo",
        call: Some(("mongo.response_to", Some("0"))),
        fields: &["mongo.request_id", "mongo.opcode", "mongo.element.name"],
    },
    Asked {
        protocol: "cassandra",
        filter: "cql",
        call: Some(("cql.direction", Some("0"))),
        fields: &["cql.stream", "cql.opcode", "cql.string", "cql.error_code"],
    },
    Asked {
        protocol: "memcached",
        filter: "memcache",
        call: Some(("memcache.command", None)),
        fields: &["memcache.opcode", "memcache.key", "memcache.response", "memcache.status"],
    },
    Asked {
        protocol: "mqtt",
        filter: "mqtt",
        call: Some(("mqtt.msgtype", None)),
        fields: &["mqtt.topic", "mqtt.msgid", "mqtt.msg"],
    },
    Asked {
        protocol: "ldap",
        filter: "ldap",
        call: Some(("ldap.messageID", None)),
        fields: &["ldap.protocolOp", "ldap.baseObject", "ldap.resultCode"],
    },
    Asked {
        protocol: "radius",
        filter: "radius",
        call: Some(("radius.id", None)),
        fields: &["radius.code", "radius.User_Name"],
    },
    Asked {
        protocol: "diameter",
        filter: "diameter",
        call: Some(("diameter.flags.request", Some("1"))),
        fields: &["diameter.cmd.code", "diameter.Session-Id", "diameter.Result-Code"],
    },
    Asked {
        protocol: "smtp",
        filter: "smtp",
        call: Some(("smtp.req.command", None)),
        fields: &["smtp.req.parameter", "smtp.response.code", "smtp.rsp.parameter"],
    },
    Asked {
        protocol: "tls",
        filter: "tls",
        call: Some(("tls.handshake.type", Some("1"))),
        fields: &[
            "tls.handshake.version",
            "tls.handshake.extensions_server_name",
            "tls.handshake.extensions_alpn_str",
            "tls.handshake.ja3",
            "tls.handshake.ja3s",
            "tls.handshake.ciphersuite",
        ],
    },
    Asked {
        protocol: "quic",
        filter: "quic",
        call: Some(("quic.long.packet_type", Some("0"))),
        fields: &[
            "quic.version",
            "tls.handshake.extensions_server_name",
            "tls.handshake.extensions_alpn_str",
        ],
    },
    Asked {
        protocol: "icmp",
        filter: "icmp or icmpv6",
        call: Some(("icmp.type", None)),
        fields: &["icmp.code", "icmp.seq", "icmp.resptime", "icmpv6.type", "icmpv6.code"],
    },
];

/// How tshark is asked about `protocol`, if it can be.
pub(super) fn asked(protocol: &str) -> Option<&'static Asked> {
    // Directories are named after what was recorded, such as `tlsx` after the fields.
    let name = match protocol {
        "tlsx" => "tls",
        "ws" => "websocket",
        "gql" | "graphql" | "sse" | "jsonrpc" => "http",
        "grpc" => "http2",
        other => other,
    };
    ASKED.iter().find(|asked| asked.protocol == name)
}

impl Asked {
    /// tshark on `file`, told what is spoken on `ports` (`tcp:PORT` or `udp:PORT`).
    pub(super) fn run(&self, file: &Path, ports: &[String]) -> Run {
        let mut run = Run::new("tshark").arg("-n").arg("-r").arg(file).args(["-Y", self.filter]);
        if !self.filter.contains(' ') {
            for port in ports {
                // TLS over UDP is within QUIC, and tshark refuses to look for it there by itself.
                let quic = self.filter == "tls" && port.starts_with("udp");
                let name = if quic { "quic" } else { self.filter };
                let spoken = format!("{}.port=={},{name}", &port[..3], &port[4..]);
                run = run.args(["-d", &spoken]);
            }
        }
        // The first column is that by which calls are counted.
        run = run.args(["-T", "fields", "-e", self.call.map_or("frame.number", |(field, _)| field)]);
        for field in COMMON.iter().chain(self.fields) {
            run = run.args(["-e", field]);
        }
        run
    }

    /// How many calls a line tells of.
    pub(super) fn calls_in(&self, line: &str) -> u64 {
        let Some((_, wanted)) = self.call else { return 0 };
        let values = line.split('\t').next().unwrap_or_default().trim().split(',');
        values.filter(|v| !v.is_empty() && wanted.is_none_or(|wanted| *v == wanted)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn calls_are_counted_by_the_first_column() {
        let counted = |protocol: &str, line: &str| asked(protocol).map(|asked| asked.calls_in(line));
        assert_eq!(counted("kafka", "3,18\t1.5\t10.0.0.1"), Some(2));
        assert_eq!(counted("kafka", "\t1.5\t10.0.0.1"), Some(0));
        assert_eq!(counted("dns", "0,1,0\t1.5"), Some(2));
        assert_eq!(counted("redis", "7\t1.5"), Some(0));
        assert!(asked("unheard-of").is_none());
    }
}

//! How derived fields come from columns.

use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, lit, when};
use remora_model::{CaptureSource, FieldId, Protocol, Transport, field as f};

use super::column;
use crate::function::Op;

/// Bytes that frame a DNS message over TCP (RFC 1035 section 4.2.2).
const DNS_TCP_LENGTH: i64 = 2;

/// The rule of a derived field; `None` for a field that has none.
pub(super) fn derived(id: FieldId) -> Option<Expr> {
    let either = |a, b| coalesce(vec![column(a), column(b)]);
    let protocol = |p: Protocol| column(f::PROTOCOL).eq(lit(p.name()));
    let transport = |t: Transport| column(f::TRANSPORT).eq(lit(t.name()));
    Some(match id {
        f::TIMESTAMP => column(f::TS),
        f::CONN_ID => column(f::FLOW_ID),
        f::PROCESS_NAME | f::LOCAL_PROCESS_NAME => either(f::DST_PROCESS, f::SRC_PROCESS),
        // The server is the near side if its process is known, so the client is the far one.
        f::REMOTE_PROCESS_NAME => case(column(f::DST_PROCESS).is_not_null(), column(f::SRC_PROCESS))?,
        f::CONTAINER_ID => either(f::DST_CONTAINER, f::SRC_CONTAINER),
        f::DNS_RESOLUTIONS => Op::Distinct.call(vec![column(f::SRC_DNS), column(f::DST_DNS)]),
        f::CAPTURE_BACKEND => when(
            column(f::CAPTURE_SOURCE).eq(lit(CaptureSource::EbpfTls.name())),
            lit(CaptureSource::Ebpf.name()),
        )
        .otherwise(column(f::CAPTURE_SOURCE))
        .ok()?,
        f::TLS => column(f::CAPTURE_SOURCE).eq(lit(CaptureSource::EbpfTls.name())),
        f::HTTP => protocol(Protocol::Http).or(protocol(Protocol::Grpc)),
        f::DNS => protocol(Protocol::Dns),
        f::REDIS => protocol(Protocol::Redis),
        f::GRPC => protocol(Protocol::Grpc),
        f::KAFKA => protocol(Protocol::Kafka),
        f::MYSQL => protocol(Protocol::Mysql),
        f::POSTGRESQL => protocol(Protocol::Postgresql),
        f::TCP => transport(Transport::Tcp),
        f::UDP => transport(Transport::Udp),
        f::QUERY_STRING => Op::QueryString.call(vec![column(f::URL)]),
        f::REQUEST_COOKIES => Op::RequestCookies.call(vec![column(f::REQUEST_HEADERS)]),
        f::RESPONSE_COOKIES => Op::ResponseCookies.call(vec![column(f::RESPONSE_HEADERS)]),
        f::DNS_REQUEST_LENGTH => dns_length(f::REQUEST_BYTES)?,
        f::DNS_RESPONSE_LENGTH => dns_length(f::RESPONSE_BYTES)?,
        f::DNS_TOTAL_SIZE => dns_length(f::REQUEST_BYTES)? + dns_length(f::RESPONSE_BYTES)?,
        f::REDIS_REQUEST_SIZE => case(protocol(Protocol::Redis), column(f::REQUEST_BYTES))?,
        f::REDIS_RESPONSE_SIZE => case(protocol(Protocol::Redis), column(f::RESPONSE_BYTES))?,
        f::REDIS_TOTAL_SIZE => {
            case(protocol(Protocol::Redis), column(f::REQUEST_BYTES) + column(f::RESPONSE_BYTES))?
        }
        f::KAFKA_SIZE => case(protocol(Protocol::Kafka), either(f::REQUEST_BYTES, f::RESPONSE_BYTES))?,
        f::KAFKA_REQUEST_SIZE => case(protocol(Protocol::Kafka), column(f::REQUEST_BYTES))?,
        f::KAFKA_RESPONSE_SIZE => case(protocol(Protocol::Kafka), column(f::RESPONSE_BYTES))?,
        f::MYSQL_REQUEST_SIZE => case(protocol(Protocol::Mysql), column(f::REQUEST_BYTES))?,
        f::MYSQL_RESPONSE_SIZE => case(protocol(Protocol::Mysql), column(f::RESPONSE_BYTES))?,
        f::MYSQL_TOTAL_SIZE => {
            case(protocol(Protocol::Mysql), column(f::REQUEST_BYTES) + column(f::RESPONSE_BYTES))?
        }
        f::POSTGRESQL_REQUEST_SIZE => case(protocol(Protocol::Postgresql), column(f::REQUEST_BYTES))?,
        f::POSTGRESQL_RESPONSE_SIZE => case(protocol(Protocol::Postgresql), column(f::RESPONSE_BYTES))?,
        f::POSTGRESQL_TOTAL_SIZE => {
            case(protocol(Protocol::Postgresql), column(f::REQUEST_BYTES) + column(f::RESPONSE_BYTES))?
        }
        f::CONN | f::FLOW => lit(true),
        _ => return None,
    })
}

/// `value` where the condition is true, else unknown.
fn case(condition: Expr, value: Expr) -> Option<Expr> {
    when(condition, value).end().ok()
}

fn dns_length(bytes: FieldId) -> Option<Expr> {
    let dns = column(f::PROTOCOL).eq(lit(Protocol::Dns.name()));
    let tcp = column(f::TRANSPORT).eq(lit(Transport::Tcp.name()));
    when(dns.clone().and(tcp), column(bytes) - lit(DNS_TCP_LENGTH)).when(dns, column(bytes)).end().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use remora_model::{FieldType, Storage, Table, field::CATALOGUE, schema};

    use crate::lower::{field, physical};

    #[test]
    fn every_field_lowers_with_its_type_wherever_it_applies() {
        let mut derived = 0;
        for def in CATALOGUE {
            for (table, applies) in [(Table::Calls, def.in_calls()), (Table::Flows, def.in_flows())] {
                let lowered = field(def.id, table);
                assert_eq!(lowered.is_ok(), applies, "{} in {}", def.name, table.name());
                let Ok(expr) = lowered else { continue };
                let schema = schema::full(table);
                let ty = physical(&expr, &schema).expect(def.name).data_type(&schema).unwrap();
                use arrow::datatypes::DataType as D;
                let fits = match def.ty {
                    FieldType::Bool => ty == D::Boolean,
                    FieldType::Int => ty == D::Int64,
                    FieldType::Text => matches!(ty, D::Utf8 | D::Dictionary(..) | D::Binary),
                    FieldType::List => matches!(ty, D::List(_)),
                    FieldType::Map => matches!(ty, D::Map(..)),
                    FieldType::Time => matches!(ty, D::Timestamp(..)),
                };
                assert!(fits, "{} has type {ty}", def.name);
                derived += usize::from(def.storage == Storage::Derived);
            }
        }
        assert!(derived > 20);
    }
}

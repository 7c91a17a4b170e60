//! How derived fields come from columns.

use arrow::datatypes::DataType;
use datafusion::functions::core::expr_fn::nullif;
use datafusion::functions::string::expr_fn::concat_ws;
use datafusion::functions::unicode::expr_fn::left;
use datafusion::logical_expr::{Case, Expr, cast, lit, when};
use remora_model::field::{self as f, Rule};
use remora_model::row::SUMMARY_CHARS;
use remora_model::{CaptureSource, FieldId, FieldType, Protocol, Storage, Transport};

use super::{column, first_known};
use crate::function::Op;

/// Bytes that frame a DNS message over TCP (RFC 1035 section 4.2.2).
const DNS_TCP_LENGTH: i64 = 2;

/// The rule of a derived field; `None` for a field that has none.
pub(super) fn derived(id: FieldId) -> Option<Expr> {
    let either = |a, b| first_known(vec![column(a), column(b)]);
    let transport = |t: Transport| column(f::TRANSPORT).eq(lit(t.name()));
    if let Storage::Derived(rule) = id.def().storage
        && rule != Rule::Own
    {
        return by_rule(rule);
    }
    Some(match id {
        f::SUMMARY => summary()?,
        f::OUTCOME => outcome()?,
        f::ENDPOINT => endpoint()?,
        f::TIMESTAMP => column(f::TS),
        f::CONN_ID => column(f::FLOW_ID),
        f::PROCESS_NAME | f::LOCAL_PROCESS_NAME => either(f::DST_PROCESS, f::SRC_PROCESS)?,
        // The server is the near side if its process is known, so the client is the far one.
        f::REMOTE_PROCESS_NAME => case(column(f::DST_PROCESS).is_not_null(), column(f::SRC_PROCESS))?,
        f::CONTAINER_ID => either(f::DST_CONTAINER, f::SRC_CONTAINER)?,
        f::DNS_RESOLUTIONS => Op::Distinct.call(vec![column(f::SRC_DNS), column(f::DST_DNS)]),
        f::CAPTURE_BACKEND => when(
            column(f::CAPTURE_SOURCE).eq(lit(CaptureSource::EbpfTls.name())),
            lit(CaptureSource::Ebpf.name()),
        )
        .otherwise(column(f::CAPTURE_SOURCE))
        .ok()?,
        f::TCP => transport(Transport::Tcp),
        f::UDP => transport(Transport::Udp),
        f::SCTP => transport(Transport::Sctp),

        f::QUERY_STRING => Op::QueryString.call(vec![column(f::URL)]),
        f::REQUEST_COOKIES => Op::RequestCookies.call(vec![column(f::REQUEST_HEADERS)]),
        f::RESPONSE_COOKIES => Op::ResponseCookies.call(vec![column(f::RESPONSE_HEADERS)]),
        f::DNS_REQUEST_LENGTH => dns_length(f::REQUEST_BYTES)?,
        f::DNS_RESPONSE_LENGTH => dns_length(f::RESPONSE_BYTES)?,
        f::DNS_TOTAL_SIZE => dns_length(f::REQUEST_BYTES)? + dns_length(f::RESPONSE_BYTES)?,
        f::KAFKA_SIZE => case(
            protocol(Protocol::Kafka),
            first_known(vec![column(f::REQUEST_BYTES), column(f::RESPONSE_BYTES)])?,
        )?,
        f::CONN | f::FLOW => lit(true),
        _ => return None,
    })
}

fn protocol(p: Protocol) -> Expr {
    column(f::PROTOCOL).eq(lit(p.name()))
}

fn by_rule(rule: Rule) -> Option<Expr> {
    let (of, value) = match rule {
        Rule::Own => return None,
        Rule::Flag(of) => {
            return Protocol::ALL.iter().filter(|p| p.is(of)).map(|p| protocol(*p)).reduce(Expr::or);
        }
        Rule::RequestSize(of) => (of, column(f::REQUEST_BYTES)),
        Rule::ResponseSize(of) => (of, column(f::RESPONSE_BYTES)),
        Rule::TotalSize(of) => (of, column(f::REQUEST_BYTES) + column(f::RESPONSE_BYTES)),
        Rule::RequestSeen(of) => (of, column(f::REQUEST_BYTES).is_not_null()),
        Rule::ResponseSeen(of) => (of, column(f::RESPONSE_BYTES).is_not_null()),
    };
    case(protocol(of), value)
}

/// A stored field as text.
fn text(id: FieldId) -> Expr {
    match id.def().ty {
        FieldType::List => Op::JoinList.call(vec![column(id)]),
        _ => cast(column(id), DataType::Utf8),
    }
}

/// For each protocol what `of` makes of it.
fn by_protocol(of: impl Fn(Protocol) -> Option<Expr>) -> Option<Expr> {
    let branches = Protocol::ALL.iter().filter_map(|p| Some((Box::new(protocol(*p)), Box::new(of(*p)?))));
    let branches: Vec<_> = branches.collect();
    (!branches.is_empty()).then(|| Expr::Case(Case::new(None, branches, None)))
}

/// What was asked, in a line.
fn summary() -> Option<Expr> {
    by_protocol(|p| {
        let parts: Vec<Expr> = p.summary().iter().map(|id| text(*id)).collect();
        let line = (!parts.is_empty()).then(|| concat_ws(lit(" "), parts))?;
        Some(nullif(left(line, lit(SUMMARY_CHARS as i64)), lit("")))
    })
}

/// What was asked without what differs from call to call.
fn endpoint() -> Option<Expr> {
    let asked = by_protocol(|p| {
        let parts = match p {
            // A URL has a query, and a server is known by its name.
            Protocol::Http | Protocol::Grpc => &[f::METHOD, f::PATH],
            // The rest of a command is data.
            Protocol::Redis => &[f::REDIS_TYPE, f::REDIS_KEY],
            p => p.summary(),
        };
        let parts: Vec<Expr> = parts.iter().map(|id| text(*id)).collect();
        let line = (!parts.is_empty()).then(|| concat_ws(lit(" "), parts))?;
        Some(nullif(left(line, lit(SUMMARY_CHARS as i64)), lit("")))
    })?;
    Some(Op::Shape.call(vec![asked]))
}

/// How it ended, in a word.
fn outcome() -> Option<Expr> {
    by_protocol(|p| {
        let parts: Vec<Expr> = p.outcome().iter().map(|id| text(*id)).collect();
        first_known(parts)
    })
}

/// `value` where the condition is true, else unknown.
fn case(condition: Expr, value: Expr) -> Option<Expr> {
    when(condition, value).end().ok()
}

fn dns_length(bytes: FieldId) -> Option<Expr> {
    let dns = protocol(Protocol::Dns);
    let tcp = column(f::TRANSPORT).eq(lit(Transport::Tcp.name()));
    when(dns.clone().and(tcp), column(bytes) - lit(DNS_TCP_LENGTH)).when(dns, column(bytes)).end().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use remora_model::{FieldType, Table, field::CATALOGUE, schema};

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
                derived += usize::from(!def.storage.is_column());
            }
        }
        assert!(derived > 20);
    }
}

//! Texts that are compared with a field whose values follow a rule.

use std::net::IpAddr;

use remora_model::field::{self, Case};
use remora_model::{FieldId, Protocol, Transport};

use super::Checker;
use crate::print::brief_text;
use crate::{Diagnostic, Expr, Span};

/// How the values of a field are written.
enum Rule {
    /// In lower case, and one of these.
    Names(Vec<&'static str>),
    /// In lower case, not bound to a list of names.
    Lower,
    /// In upper case.
    Upper,
    /// In upper case as a rule; other spellings exist and mean something else.
    UsuallyUpper,
    /// An IP address.
    Address,
}

fn rule(id: FieldId) -> Option<Rule> {
    use remora_model::{CaptureSource as Source, CloseReason as Close, FlowState as State, Incomplete};
    Some(match id {
        field::PROTOCOL | field::CONN_L7_DETECTED => {
            Rule::Names(Protocol::ALL.iter().map(|p| p.name()).collect())
        }
        field::TRANSPORT => Rule::Names(Transport::ALL.iter().map(|t| t.name()).collect()),
        field::CAPTURE_SOURCE => Rule::Names(
            [Source::Ebpf, Source::EbpfTls, Source::AfPacket, Source::File].map(|s| s.name()).to_vec(),
        ),
        field::CONN_STATE => {
            Rule::Names([State::Open, State::InProgress, State::Closed].map(State::name).to_vec())
        }
        field::CLOSE_REASON => Rule::Names(
            [Close::Fin, Close::Reset, Close::Idle, Close::Evicted, Close::CaptureEnd]
                .map(Close::name)
                .to_vec(),
        ),
        field::INCOMPLETE => Rule::Names(
            [
                Incomplete::NoResponse,
                Incomplete::NoRequest,
                Incomplete::Gap,
                Incomplete::Truncated,
                Incomplete::Reset,
            ]
            .map(|i| i.name())
            .to_vec(),
        ),
        field::METHOD => Rule::UsuallyUpper,
        field::SRC_IP | field::DST_IP => Rule::Address,
        id => match id.def().case {
            Case::Lower => Rule::Lower,
            Case::Upper => Rule::Upper,
            Case::Any => return None,
        },
    })
}

impl Checker<'_> {
    /// `text`, compared for equality with `other`, in the spelling of that field's values.
    pub(super) fn settle_text(&mut self, other: &Expr, text: String, span: Span) -> String {
        let Some((id, rule)) = self.origin(other).and_then(|id| Some((id, rule(id)?))) else {
            return text;
        };
        let name = id.def().name;
        match rule {
            Rule::Names(names) => {
                let lower = text.to_ascii_lowercase();
                if !names.contains(&lower.as_str()) {
                    let found = Diagnostic::warning(span, format!("`{name}` is never {}", brief_text(&text)));
                    self.warn(found.help(format!("it is one of {}", names.join(", "))));
                }
                lower
            }
            Rule::Lower => text.to_ascii_lowercase(),
            Rule::Upper => text.to_ascii_uppercase(),
            Rule::UsuallyUpper => {
                let upper = text.to_ascii_uppercase();
                if upper != text {
                    let found = Diagnostic::warning(
                        span,
                        "HTTP methods have a case, and are in upper case by custom",
                    );
                    self.warn(found.help(format!("did you mean {}?", brief_text(&upper))));
                }
                text
            }
            Rule::Address => match text.parse::<IpAddr>() {
                Ok(ip) => ip.to_string(),
                Err(_) => {
                    let found = Diagnostic::warning(
                        span,
                        format!("{} is not an address, and `{name}` always is", brief_text(&text)),
                    );
                    self.warn(match crate::Network::parse(&text) {
                        Some(_) => {
                            found.help(format!("ip_in({name}, {}) asks for a network", brief_text(&text)))
                        }
                        None => {
                            found.help("src.name and dst.name have the names; .startsWith searches a part")
                        }
                    });
                    text
                }
            },
        }
    }

    pub(super) fn warn(&mut self, diagnostic: Diagnostic) {
        let _: Option<()> = self.report(diagnostic);
    }
}

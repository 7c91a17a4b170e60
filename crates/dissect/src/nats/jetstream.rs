//! JetStream, which lives on subjects of its own (NATS documentation, "JetStream wire API").

use super::options;

/// What a subject or a message is to JetStream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Name of the API without `$JS.API.`, `ACK`, `DELIVER` or `PUBLISH`.
    pub(super) name: &'a [u8],
    pub(super) stream: Option<&'a [u8]>,
    pub(super) consumer: Option<&'a [u8]>,
}

/// Names of the API that have a stream behind them, and a consumer behind that. Those that begin
/// with another one stand in front of it.
const APIS: &[&str] = &[
    "STREAM.CREATE",
    "STREAM.UPDATE",
    "STREAM.NAMES",
    "STREAM.LIST",
    "STREAM.INFO",
    "STREAM.DELETE",
    "STREAM.PURGE",
    "STREAM.SNAPSHOT",
    "STREAM.RESTORE",
    "STREAM.MSG.GET",
    "STREAM.MSG.DELETE",
    "STREAM.PEER.REMOVE",
    "STREAM.LEADER.STEPDOWN",
    "DIRECT.GET",
    "CONSUMER.DURABLE.CREATE",
    "CONSUMER.CREATE",
    "CONSUMER.NAMES",
    "CONSUMER.LIST",
    "CONSUMER.INFO",
    "CONSUMER.DELETE",
    "CONSUMER.PAUSE",
    "CONSUMER.UNPIN",
    "CONSUMER.MSG.NEXT",
    "CONSUMER.LEADER.STEPDOWN",
    "META.LEADER.STEPDOWN",
    "INFO",
];

const ACK: &[u8] = b"$JS.ACK.";

/// The API that a subject names.
pub(super) fn api(subject: &[u8]) -> Option<Part<'_>> {
    let rest = subject.strip_prefix(b"$JS.")?;
    // A domain may stand in between.
    let rest = rest.strip_prefix(b"API.").or_else(|| {
        let at = rest.iter().position(|&b| b == b'.')?;
        rest.get(at + 1..)?.strip_prefix(b"API.")
    })?;
    let fits = |name: &&&str| {
        rest.strip_prefix(name.as_bytes()).is_some_and(|after| matches!(after.first(), None | Some(b'.')))
    };
    let Some(name) = APIS.iter().find(fits) else {
        return Some(Part { name: rest, ..Part::default() });
    };
    let mut tokens = rest.get(name.len() + 1..).unwrap_or_default().split(|&b| b == b'.');
    let stream = tokens.next().filter(|t| !t.is_empty());
    let consumer = tokens.next().filter(|_| name.starts_with("CONSUMER"));
    Some(Part { name: name.as_bytes(), stream, consumer })
}

/// Stream and consumer of an acknowledgement's subject.
pub(super) fn ack(subject: &[u8]) -> Option<Part<'_>> {
    let rest = subject.strip_prefix(ACK)?;
    let tokens = rest.split(|&b| b == b'.').count();
    let mut all = rest.split(|&b| b == b'.');
    // The longer form has a domain and an account in front.
    if tokens >= 9 {
        all.nth(1);
    }
    Some(Part { name: b"ACK", stream: all.next(), consumer: all.next() })
}

/// The stream that a message went into, from the answer to its publisher.
pub(super) fn published(payload: &[u8]) -> Option<Part<'_>> {
    let is_ack = payload.starts_with(b"{\"stream\":") && options::word(payload, "seq").is_some();
    is_ack.then(|| Part { name: b"PUBLISH", stream: options::string(payload, "stream"), consumer: None })
}

/// Code and description of an error in an answer.
pub(super) fn error(payload: &[u8]) -> Option<(i64, &[u8])> {
    let at = memchr::memmem::find(payload, b"\"error\":")?;
    let inside = payload.get(at + 8..)?.trim_ascii_start();
    inside.first().filter(|b| **b == b'{')?;
    let code = std::str::from_utf8(options::word(inside, "code")?).ok()?.parse().ok()?;
    Some((code, options::string(inside, "description").unwrap_or_default()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn part(p: Part<'_>) -> (String, Option<String>, Option<String>) {
        let text = |t: &[u8]| String::from_utf8(t.to_vec()).unwrap();
        (text(p.name), p.stream.map(text), p.consumer.map(text))
    }

    #[test]
    fn subjects_say_what_they_are_about() {
        let some = |t: &str| Some(t.to_owned());
        assert_eq!(part(api(b"$JS.API.INFO").unwrap()), ("INFO".into(), None, None));
        assert_eq!(
            part(api(b"$JS.API.CONSUMER.MSG.NEXT.ORDERS.billing").unwrap()),
            ("CONSUMER.MSG.NEXT".into(), some("ORDERS"), some("billing"))
        );
        assert_eq!(
            part(api(b"$JS.hub.API.STREAM.CREATE.ORDERS").unwrap()),
            ("STREAM.CREATE".into(), some("ORDERS"), None)
        );
        assert_eq!(
            part(ack(b"$JS.ACK.ORDERS.billing.1.7.7.1700000000000000000.0").unwrap()),
            ("ACK".into(), some("ORDERS"), some("billing"))
        );
        assert_eq!(
            part(ack(b"$JS.ACK.hub.Xyz.ORDERS.billing.1.7.7.1700000000000000000.0.rand").unwrap()),
            ("ACK".into(), some("ORDERS"), some("billing"))
        );
        assert_eq!(api(b"orders.new"), None);
        assert_eq!(part(published(br#"{"stream":"ORDERS", "seq":7}"#).unwrap()).1, some("ORDERS"));
        let refused =
            br#"{"type":"x","error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(error(refused), Some((404, &b"stream not found"[..])));
        assert_eq!(error(br#"{"error":"text"}"#), None);
    }
}

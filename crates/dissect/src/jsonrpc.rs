//! JSON-RPC 2.0 in bodies of HTTP, in events of a stream, and in messages of WebSocket; with what
//! the Model Context Protocol says in it.

use remora_model::{Span, ValueRef, field as f};

use crate::http::sse;
use crate::http::values::Fields;
use crate::json::Value;
use crate::texts::{SHORT, Texts};

/// Calls of a batch that are looked at.
const BATCH: usize = 64;

/// What a call says as JSON-RPC.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct JsonRpc {
    /// Methods, those of a batch joined by a comma and a space.
    method: Span,
    id: Span,
    /// What an MCP method is about: the tool, the prompt or the resource.
    target: Span,
    error_code: Option<i64>,
    error: Span,
    /// Messages of a batch.
    batch: Option<i64>,
    pub(crate) failed: bool,
    pub(crate) client_error: bool,
}

/// True for text that may be JSON-RPC: it costs little to say of most that it is not.
fn may_be(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
        && memchr::memmem::find(text, b"\"jsonrpc\"").is_some()
}

/// True for an object that says it is JSON-RPC 2.0 (section 4 of its specification).
fn is_message(value: Value<'_>) -> bool {
    value.get("jsonrpc").and_then(Value::string) == Some(b"2.0")
}

impl JsonRpc {
    /// Reads a message that stands alone, as in WebSocket.
    pub(crate) fn message(text: &[u8], texts: &mut Texts) -> Option<Self> {
        let mut rpc = Self::default();
        (may_be(text) && rpc.request(text, texts) | rpc.answer(text, texts)).then_some(rpc)
    }

    /// Reads the bodies of a call over HTTP: `events` says that the response's is a stream of
    /// events.
    pub(crate) fn exchange(
        request: Option<&[u8]>,
        response: Option<&[u8]>,
        events: bool,
        texts: &mut Texts,
    ) -> Option<Self> {
        let mut rpc = Self::default();
        let asked = request.is_some_and(|text| may_be(text) && rpc.request(text, texts));
        if request.is_some() && !asked {
            return None;
        }
        let mut answered = false;
        match response {
            Some(text) if events && memchr::memmem::find(text, b"\"jsonrpc\"").is_some() => {
                sse::events(text, |event| answered |= rpc.answer(event.data, texts));
            }
            Some(text) if !events && may_be(text) => answered = rpc.answer(text, texts),
            _ => {}
        }
        (asked || answered).then_some(rpc)
    }

    /// Reads what asks. False when it is no JSON-RPC.
    fn request(&mut self, text: &[u8], texts: &mut Texts) -> bool {
        let Some(value) = Value::of(text) else { return false };
        if !value.is_array() {
            return self.ask(value, texts);
        }
        let (mut n, mut first) = (0, true);
        let methods = texts.add(|_| {});
        let mut length = 0;
        for item in value.items().filter(|v| is_message(*v)).take(BATCH) {
            n += 1;
            if let Some(method) = item.get("method") {
                // The names stand behind each other: nothing is added between them.
                let span = texts.add(|out| {
                    if !std::mem::take(&mut first) {
                        out.extend_from_slice(b", ");
                    }
                    method.write(out, SHORT);
                });
                length += span.len;
            }
        }
        self.method = Span { len: length, ..methods };
        self.batch = (n > 0).then_some(n);
        n > 0
    }

    fn ask(&mut self, value: Value<'_>, texts: &mut Texts) -> bool {
        if !value.is_object() || !is_message(value) {
            return false;
        }
        if let Some(id) = value.get("id").filter(|id| id.raw() != b"null") {
            self.id = texts.value(id, SHORT);
        }
        let Some(method) = value.get("method") else { return true };
        self.method = texts.value(method, SHORT);
        let name = match texts.at(self.method) {
            b"tools/call" | b"prompts/get" => "name",
            b"resources/read" | b"resources/subscribe" | b"resources/unsubscribe" => "uri",
            _ => return true,
        };
        if let Some(target) = value.get("params").and_then(|p| p.get(name)) {
            self.target = texts.value(target, SHORT);
        }
        true
    }

    /// Reads what answers, or an event of it. False when it is no JSON-RPC.
    fn answer(&mut self, text: &[u8], texts: &mut Texts) -> bool {
        let Some(value) = Value::of(text) else { return false };
        let mut any = false;
        for item in value.items().take(BATCH).chain(value.is_object().then_some(value)) {
            if is_message(item) {
                any = true;
                self.outcome(item, value.is_array(), texts);
            }
        }
        any
    }

    /// Reads the answer to one call, which may be one `of_batch`: that has no id of its own.
    fn outcome(&mut self, value: Value<'_>, of_batch: bool, texts: &mut Texts) {
        if self.failed {
            return;
        }
        if self.id.len == 0
            && self.batch.is_none()
            && !of_batch
            && let Some(id) = value.get("id").filter(|id| id.raw() != b"null")
        {
            self.id = texts.value(id, SHORT);
        }
        if let Some(error) = value.get("error").filter(|e| e.is_object()) {
            self.failed = true;
            self.error_code = error.get("code").and_then(Value::int);
            if let Some(message) = error.get("message") {
                self.error = texts.value(message, SHORT);
            }
            // Parse error, invalid request, method not found, invalid params (section 5.1).
            self.client_error = matches!(self.error_code, Some(-32_700 | -32_602..=-32_600));
        } else if let Some(result) = value.get("result")
            && result.get("isError").map(Value::raw) == Some(b"true")
        {
            // A tool of MCP that failed says so in its result.
            self.failed = true;
            let first = result.get("content").and_then(|c| c.items().next());
            if let Some(text) = first.and_then(|c| c.get("text")) {
                self.error = texts.value(text, SHORT);
            }
        }
    }

    /// Adds its fields.
    pub(crate) fn push<'a>(&self, texts: &'a Texts, fields: &mut Fields<'a>) {
        fields.filled(f::JSONRPC_METHOD, texts.at(self.method));
        fields.filled(f::JSONRPC_ID, texts.at(self.id));
        fields.filled(f::JSONRPC_TARGET, texts.at(self.target));
        fields.filled(f::JSONRPC_ERROR, texts.at(self.error));
        fields.int(f::JSONRPC_ERROR_CODE, self.error_code);
        if let Some(n) = self.batch {
            fields.add(f::JSONRPC_BATCH, ValueRef::Int(n));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(request: &str, response: &str, events: bool) -> Option<String> {
        let mut texts = Texts::default();
        let text = |t: &str| (!t.is_empty()).then(|| t.as_bytes().to_vec());
        let (request, response) = (text(request), text(response));
        let rpc = JsonRpc::exchange(request.as_deref(), response.as_deref(), events, &mut texts)?;
        let at = |span| String::from_utf8_lossy(texts.at(span)).into_owned();
        Some(format!(
            "{}|{}|{}|{:?}|{}|{:?}|{}|{}",
            at(rpc.method),
            at(rpc.id),
            at(rpc.target),
            rpc.error_code,
            at(rpc.error),
            rpc.batch,
            rpc.failed,
            rpc.client_error
        ))
    }

    #[test]
    fn calls_are_read() {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"sum","params":[1,2]}"#;
        for (request, response, events, expected) in [
            (call, r#"{"jsonrpc":"2.0","id":7,"result":3}"#, false, "sum|7||None||None|false|false"),
            (
                call,
                r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no \"sum\""}}"#,
                false,
                "sum|7||Some(-32601)|no \"sum\"|None|true|true",
            ),
            (
                call,
                r#"{"error":{"code":-32000,"message":"x"},"id":7,"jsonrpc":"2.0"}"#,
                false,
                "sum|7||Some(-32000)|x|None|true|false",
            ),
            (
                call,
                "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\ndata: {\"jsonrpc\":\"2.0\",\ndata: \"id\":7,\"error\":{\"code\":1}}\n\n",
                true,
                "sum|7||Some(1)||None|true|false",
            ),
            (
                r#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"list","arguments":{}}}"#,
                r#"{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"bad"}],"isError":true}}"#,
                false,
                "tools/call|a|list|None|bad|None|true|false",
            ),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"}]"#,
                r#"[{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}]"#,
                false,
                "a, b|||Some(-32602)|m|Some(2)|true|true",
            ),
            ("", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false, "|1||None||None|false|false"),
        ] {
            assert_eq!(read(request, response, events).as_deref(), Some(expected));
        }
        for (request, response) in [
            ("", r#"{"id":1,"result":{}}"#),
            (r#"{"method":"sum"}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#),
            (r#"{"jsonrpc":"1.0","method":"sum"}"#, ""),
            (r#""jsonrpc""#, ""),
            ("[]", ""),
        ] {
            assert_eq!(read(request, response, false), None, "{request} {response}");
        }
    }

    #[test]
    fn a_batch_has_no_id_of_its_own() {
        let answer = r#"[{"jsonrpc":"2.0","id":1,"result":6},{"jsonrpc":"2.0","id":2,"result":7}]"#;
        assert_eq!(read("", answer, false).unwrap(), "|||None||None|false|false");
    }
}

//! What is read of TLS, in few lines: processes of one name with one library are one line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Lines at most; what is left out is counted.
const MOST: usize = 64;

/// Groups an agent's `tls.processes`: those that are not read first, then the ones with most plaintext.
/// The second part of the answer is the number of groups that were left out.
pub fn grouped(processes: &[Value]) -> (Vec<Value>, usize) {
    let text = |p: &Value, name: &str| p[name].as_str().unwrap_or_default().to_owned();
    let mut groups: BTreeMap<[String; 4], (bool, u64, u64, u64, String)> = BTreeMap::new();
    for p in processes {
        let key = ["process", "library", "version", "reason"].map(|name| text(p, name));
        let group = groups.entry(key).or_default();
        group.0 = p["hooked"].as_bool() == Some(true);
        group.1 += 1;
        group.2 += p["plain_bytes"].as_u64().unwrap_or(0);
        group.3 += p["opaque_bytes"].as_u64().unwrap_or(0);
        group.4 = group.4.clone().max(text(p, "last_plaintext"));
    }
    let mut all: Vec<_> = groups.into_iter().collect();
    all.sort_by_key(|(_, (read, _, plain, ..))| (*read, std::cmp::Reverse(*plain)));
    let left_out = all.len().saturating_sub(MOST);
    let lines = all.into_iter().take(MOST).map(|(key, (read, count, plain, opaque, last))| {
        let mut line = Map::new();
        for (name, value) in ["process", "library", "version"].iter().zip(&key).filter(|(_, v)| !v.is_empty())
        {
            line.insert((*name).to_owned(), value.as_str().into());
        }
        line.insert("processes".to_owned(), count.into());
        line.insert("read".to_owned(), read.into());
        if let Some(why) = key.last().filter(|why| !why.is_empty()) {
            line.insert("why_not".to_owned(), why.as_str().into());
        }
        line.insert("plain_bytes".to_owned(), plain.into());
        if opaque > 0 {
            line.insert("opaque_bytes".to_owned(), opaque.into());
        }
        if !last.is_empty() {
            line.insert("last_plaintext".to_owned(), last.into());
        }
        Value::Object(line)
    });
    (lines.collect(), left_out)
}

/// Replaces the processes of every agent in a status by their groups, for readers with little room.
pub fn condense(status: &mut Value) {
    let agents = status.get_mut("agents").and_then(Value::as_array_mut);
    for agent in agents.into_iter().flatten() {
        let Some(tls) = agent.pointer_mut("/capture/tls").and_then(Value::as_object_mut) else { continue };
        if let Some(Value::Array(processes)) = tls.remove("processes") {
            let (lines, left_out) = grouped(&processes);
            tls.insert("processes".to_owned(), json!(lines));
            if left_out > 0 {
                tls.insert("groups_left_out".to_owned(), left_out.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_comes_first_and_equal_processes_are_one_line() {
        let one = |name: &str, plain: u64, reason: Option<&str>| {
            json!({"pid": 1, "process": name, "path": "/x", "library": "OpenSSL", "version": "3.0.17", "found": "symbols",
                "hooked": reason.is_none(), "reason": reason, "last_plaintext": null, "plain_bytes": plain, "opaque_bytes": 0})
        };
        let mut status = json!({"agents": [{"capture": {"tls": {"processes": [
            one("nginx", 10, None), one("nginx", 20, None), one("curl", 500, None), one("java", 0, Some("JSSE has no native code")),
        ]}}}]});
        condense(&mut status);
        let lines = status
            .pointer("/agents/0/capture/tls/processes")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        assert_eq!(lines.len(), 3);
        assert_eq!((&lines[0]["process"], &lines[0]["read"]), (&json!("java"), &json!(false)));
        assert_eq!(lines[0]["why_not"], "JSSE has no native code");
        assert_eq!((&lines[1]["process"], &lines[2]["processes"]), (&json!("curl"), &json!(2)));
        assert_eq!(lines[2]["plain_bytes"], 30);
        let many: Vec<Value> = (0..100).map(|i| one(&format!("p{i}"), 1, None)).collect();
        assert_eq!(grouped(&many).1, 100 - MOST);
        condense(&mut Value::Null);
    }
}

//! Every function, method and macro: the one source of the guide's table and of suggestions.

/// A function, method or macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FunctionDef {
    /// Its name.
    pub name: &'static str,
    /// A filter, or the part of one, that uses it.
    pub example: &'static str,
    /// What it gives.
    pub meaning: &'static str,
}

const fn function(name: &'static str, example: &'static str, meaning: &'static str) -> FunctionDef {
    FunctionDef { name, example, meaning }
}

/// All of them, in the order in which they are listed to users.
pub const FUNCTIONS: &[FunctionDef] = &[
    function("contains", "path.contains(\"/api\")", "the text has this part"),
    function("startsWith", "path.startsWith(\"/api\")", "the text begins so"),
    function("endsWith", "host.endsWith(\".internal\")", "the text ends so"),
    function(
        "matches",
        "path.matches(r\"^/v\\d+/\")",
        "a regular expression (RE2 syntax) matches somewhere in the text",
    ),
    function("size", "size(dns_answers) > 3", "characters of a text, elements of a list, keys of a map"),
    function("lowerAscii", "host.lowerAscii() == \"shop\"", "the text with A to Z in lower case"),
    function("upperAscii", "method.upperAscii() == \"GET\"", "the text with a to z in upper case"),
    function("has", "has(status_code)", "the row has the field, or the map the key; never unknown"),
    function(
        "map_get",
        "map_get(request.headers, \"x-id\", \"\") == \"\"",
        "the value of a key, or the default given",
    ),
    function(
        "int",
        "int(request.headers[\"age\"]) > 60",
        "the integer that a text spells; unknown when it spells none",
    ),
    function(
        "json",
        "json(response.body).error.code == \"E42\"",
        "the value inside a text of JSON; unknown where there is none",
    ),
    function("string", "string(status_code).startsWith(\"5\")", "the digits of an integer"),
    function(
        "ip_in",
        "ip_in(src.ip, [\"10.0.0.0/8\", \"fd00::/8\"])",
        "the address lies in one of the networks",
    ),
    function("cidr", "cidr(\"10.0.0.0/8\").containsIP(src.ip)", "the same in the words of CEL in Kubernetes"),
    function("now", "ts > now() - duration(\"5m\")", "the instant at which the query began"),
    function(
        "timestamp",
        "ts < timestamp(\"2026-11-21T04:40:49Z\")",
        "an instant in RFC 3339, or in seconds since 1970",
    ),
    function("duration", "ts > now() - duration(\"1h30m\")", "a span of time; units are ns us ms s m h d w"),
    function(
        "exists",
        "dns_questions.exists(q, q.endsWith(\".com\"))",
        "the condition is true of some element of the list, or key of the map",
    ),
    function("all", "dns_answers.all(a, a.startsWith(\"10.\"))", "it is true of every one"),
    function("exists_one", "dns_answers.exists_one(a, a.contains(\":\"))", "it is true of exactly one"),
];

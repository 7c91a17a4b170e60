//! The field catalogue: every name that a user can filter on, group by or select.
//!
//! Names and types follow KFL2 where KFL2 has the field. A field that is *stored* is a column; a
//! *derived* one is computed from columns when a query asks for it (the store knows how, and a
//! test there checks that it knows every one).

use crate::Protocol;

/// Type of a field, as filters, SQL and MCP see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// `bool`.
    Bool,
    /// `int`, 64 bits, signed.
    Int,
    /// `string`.
    Text,
    /// `list(string)`.
    List,
    /// `map(string, string)`.
    Map,
    /// `timestamp`, UTC, nanoseconds.
    Time,
}

impl FieldType {
    /// The name shown to users, as CEL writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Text => "string",
            Self::List => "list(string)",
            Self::Map => "map(string, string)",
            Self::Time => "timestamp",
        }
    }
}

/// Where a field's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// A column.
    Stored,
    /// A column whose few values repeat, kept as a dictionary.
    Repeating,
    /// A column of bytes that is read only when it is asked for by name: bodies. Kept as bytes
    /// because a body need not be text.
    Late,
    /// Computed from columns by the store.
    Derived,
}

/// Which tables have the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every call.
    Call,
    /// Calls of this protocol and of those whose parent it is.
    Protocol(Protocol),
    /// Calls of HTTP and DNS, which share `status_code`.
    HttpAndDns,
    /// Calls of these protocols.
    Several(&'static [Protocol]),
    /// Flow rows.
    Flow,
    /// Calls and flow rows.
    Both,
}

/// One entry of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldDef {
    /// Its number, which is its index in [`CATALOGUE`].
    pub id: FieldId,
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub ty: FieldType,
    /// The rows that have it.
    pub scope: Scope,
    /// Whether it is a column.
    pub storage: Storage,
    /// What it means, in one sentence with units.
    pub meaning: &'static str,
    /// An example as it stands in a filter, quotation marks included.
    pub example: &'static str,
}

impl FieldDef {
    /// True when calls of `protocol` have this field.
    pub fn applies_to(&self, protocol: Protocol) -> bool {
        match self.scope {
            Scope::Call | Scope::Both => true,
            Scope::Protocol(p) => protocol.is(p),
            Scope::HttpAndDns => protocol.is(Protocol::Http) || protocol.is(Protocol::Dns),
            Scope::Several(all) => all.iter().any(|p| protocol.is(*p)),
            Scope::Flow => false,
        }
    }

    /// True when calls can have this field.
    pub fn in_calls(&self) -> bool {
        !matches!(self.scope, Scope::Flow)
    }

    /// True when flow rows have this field.
    pub fn in_flows(&self) -> bool {
        matches!(self.scope, Scope::Flow | Scope::Both)
    }
}

/// Index of a field in the catalogue. Not stable between versions: files and wire use names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

impl FieldId {
    /// The field's entry.
    pub fn def(self) -> &'static FieldDef {
        &CATALOGUE[usize::from(self.0)]
    }
}

/// The field with that name.
pub fn by_name(name: &str) -> Option<&'static FieldDef> {
    CATALOGUE.iter().find(|f| f.name == name)
}

/// The fields that are read only when they are asked for by name: bodies and the like.
pub fn late() -> impl Iterator<Item = &'static FieldDef> {
    CATALOGUE.iter().filter(|f| f.storage == Storage::Late)
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $id:ident $name:literal $ty:ident $scope:expr, $storage:ident, $example:literal, $meaning:literal;)*) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u16)]
        enum Index { $($id,)* }

        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $id: FieldId = FieldId(Index::$id as u16);
        )*

        /// Every field, in the order in which they are listed to users.
        pub static CATALOGUE: &[FieldDef] = &[
            $(FieldDef {
                id: $id,
                name: $name,
                ty: FieldType::$ty,
                scope: $scope,
                storage: Storage::$storage,
                meaning: $meaning,
                example: $example,
            },)*
        ];
    };
}

use Protocol::{Dns, Grpc, Http, Kafka, Mysql, Postgresql, Redis};
use Scope::{Both, Call, Flow, HttpAndDns, Protocol as Of, Several};

/// Protocols whose calls have bodies.
const WITH_BODIES: &[Protocol] = &[Http, Mysql, Postgresql];
/// Protocols that carry SQL.
const WITH_SQL: &[Protocol] = &[Mysql, Postgresql];

catalogue! {
    // Every call and flow.
    ID "id" Int Call, Stored, "123456789", "identifies the call; stable until retention removes it";
    TS "ts" Time Both, Stored, "timestamp(\"2026-11-21T04:40:49Z\")", "time of the request's first byte, or of the flow's newest packet";
    TIMESTAMP "timestamp" Time Both, Derived, "now() - duration(\"5m\")", "the same as ts, by its KFL2 name";
    PROTOCOL "protocol" Text Call, Repeating, "\"http\"", "application protocol, lower case";
    TRANSPORT "transport" Text Both, Repeating, "\"tcp\"", "what carried it: tcp or udp";
    SRC_IP "src.ip" Text Both, Repeating, "\"10.0.53.101\"", "address of the client";
    SRC_PORT "src.port" Int Both, Stored, "43210", "port of the client";
    DST_IP "dst.ip" Text Both, Repeating, "\"192.168.1.1\"", "address of the server";
    DST_PORT "dst.port" Int Both, Stored, "8080", "port of the server";
    SRC_NAME "src.name" Text Both, Repeating, "\"curl\"", "best name of the client: pod, service, DNS name, process or else its address";
    DST_NAME "dst.name" Text Both, Repeating, "\"nginx\"", "best name of the server: pod, service, DNS name, process or else its address";
    SRC_DNS "src.dns" Text Both, Repeating, "\"client.example\"", "name by which DNS answers seen on the wire knew the client's address";
    DST_DNS "dst.dns" Text Both, Repeating, "\"db.example.com\"", "name by which DNS answers seen on the wire knew the server's address";
    SRC_PROCESS "src.process" Text Both, Repeating, "\"curl\"", "command name of the client's process, when it runs on the node";
    DST_PROCESS "dst.process" Text Both, Repeating, "\"nginx\"", "command name of the server's process, when it runs on the node";
    SRC_PID "src.pid" Int Both, Stored, "4242", "process id of the client in the node's pid namespace";
    DST_PID "dst.pid" Int Both, Stored, "80", "process id of the server in the node's pid namespace";
    SRC_CONTAINER "src.container_id" Text Both, Repeating, "\"3f4e...\"", "container of the client (64 hexadecimal digits)";
    DST_CONTAINER "dst.container_id" Text Both, Repeating, "\"3f4e...\"", "container of the server (64 hexadecimal digits)";
    SRC_CGROUP "src.cgroup" Text Both, Repeating, "\"/system.slice/nginx.service\"", "cgroup-v2 path of the client";
    DST_CGROUP "dst.cgroup" Text Both, Repeating, "\"/system.slice/nginx.service\"", "cgroup-v2 path of the server";
    PROCESS_NAME "process_name" Text Both, Derived, "\"nginx\"", "process of the server if it is on the node, else of the client";
    CONTAINER_ID "container_id" Text Both, Derived, "\"3f4e...\"", "container of the server if it is on the node, else of the client";
    LOCAL_PROCESS_NAME "local_process_name" Text Both, Derived, "\"nginx\"", "the same as process_name, by its KFL2 name";
    REMOTE_PROCESS_NAME "remote_process_name" Text Both, Derived, "\"curl\"", "process of the other side, when it is on the node as well";
    DNS_RESOLUTIONS "dns_resolutions" List Both, Derived, "\"db.example.com\" in dns_resolutions", "src.dns and dst.dns, without duplicates";
    NODE_NAME "node_name" Text Both, Repeating, "\"node-1\"", "node that captured it";
    FLOW_ID "flow_id" Int Both, Stored, "77", "links calls to the flow they travelled in, within one node";
    CONN_ID "conn_id" Int Both, Derived, "77", "the same as flow_id, by its KFL2 name";
    CAPTURE_SOURCE "capture_source" Text Both, Repeating, "\"ebpf\"", "where the bytes came from: ebpf, ebpf_tls, af_packet or file";
    CAPTURE_BACKEND "capture_backend" Text Both, Derived, "\"ebpf\"", "capture_source without the distinction of TLS plaintext";

    // Every call.
    ELAPSED_TIME "elapsed_time" Int Call, Stored, "5000", "microseconds from the request's last byte to the response's first byte";
    TTLB "ttlb" Int Call, Stored, "9000", "microseconds from the request's first byte to the response's last byte";
    FAILED "failed" Bool Call, Stored, "failed", "true when the protocol says that the call failed";
    CLIENT_ERROR "client_error" Bool Call, Stored, "client_error", "true when the protocol blames the client, as HTTP does with 4xx";
    INCOMPLETE "incomplete" Text Call, Repeating, "\"no_response\"", "why the call is not whole: no_response, no_request, gap, truncated or reset";
    TLS "tls" Bool Call, Derived, "tls", "true when the bytes were captured as TLS plaintext";
    HTTP "http" Bool Call, Derived, "http", "true for HTTP calls, gRPC included";
    DNS "dns" Bool Call, Derived, "dns", "true for DNS calls";
    REDIS "redis" Bool Call, Derived, "redis", "true for Redis calls";
    GRPC "grpc" Bool Call, Derived, "grpc", "true for gRPC and gRPC-Web calls";
    KAFKA "kafka" Bool Call, Derived, "kafka", "true for Kafka calls";
    MYSQL "mysql" Bool Call, Derived, "mysql", "true for MySQL and MariaDB calls";
    POSTGRESQL "postgresql" Bool Call, Derived, "postgresql", "true for PostgreSQL calls";
    TCP "tcp" Bool Both, Derived, "tcp", "true when TCP carried it";
    UDP "udp" Bool Both, Derived, "udp", "true when UDP carried it";
    REQUEST_BYTES "request_bytes" Int Call, Stored, "512", "bytes of the request on the wire, framing included";
    RESPONSE_BYTES "response_bytes" Int Call, Stored, "2048", "bytes of the response on the wire, framing included";
    REQUEST_POS "request_pos" Int Call, Stored, "0", "offset of the request in the client's byte stream as captured";
    RESPONSE_POS "response_pos" Int Call, Stored, "0", "offset of the response in the server's byte stream as captured";

    // HTTP (and the DNS rcode, which KFL2 users filter as status_code).
    STATUS_CODE "status_code" Int HttpAndDns, Stored, "500", "HTTP status, or the DNS response code";
    METHOD "method" Text Of(Http), Repeating, "\"GET\"", "HTTP method";
    URL "url" Text Of(Http), Stored, "\"/api/users?id=123\"", "request target as sent";
    PATH "path" Text Of(Http), Stored, "\"/api/users\"", "path of the request target, without the query";
    HTTP_VERSION "http_version" Text Of(Http), Repeating, "\"HTTP/1.1\"", "HTTP version of the request, else of the response";
    HOST "host" Text Of(Http), Repeating, "\"shop.example\"", "host asked for: from the target or :authority, else from the Host header";
    QUERY_STRING "query_string" Map Of(Http), Derived, "query_string[\"id\"] == \"123\"", "parameters of the query, decoded";
    REQUEST_HEADERS "request.headers" Map Of(Http), Stored, "request.headers[\"x-id\"] == \"7\"", "request headers; names in lower case, repeated ones joined by a comma and a space; with HTTP/2 pseudo-headers";
    RESPONSE_HEADERS "response.headers" Map Of(Http), Stored, "\"etag\" in response.headers", "response headers; names in lower case, repeated ones joined by a comma and a space; with HTTP/2 pseudo-headers";
    REQUEST_COOKIES "request.cookies" Map Of(Http), Derived, "request.cookies[\"session\"] != \"\"", "cookies that the client sent";
    RESPONSE_COOKIES "response.cookies" Map Of(Http), Derived, "\"token\" in response.cookies", "cookies that the server set";
    REQUEST_BODY "request.body" Text Several(WITH_BODIES), Late, "request.body.contains(\"error\")", "request body after decoding, up to the payload limit; of gRPC the messages as text, one per line; of SQL the data that a client sends (COPY, LOCAL INFILE)";
    RESPONSE_BODY "response.body" Text Several(WITH_BODIES), Late, "response.body.contains(\"error\")", "response body after decoding, up to the payload limit; of gRPC the messages as text, one per line; of SQL the rows as lines with tabs";
    REQUEST_HEADERS_SIZE "request_headers_size" Int Of(Http), Stored, "300", "bytes of the request line and headers; of HTTP/2 the compressed header blocks";
    REQUEST_BODY_SIZE "request_body_size" Int Of(Http), Stored, "1024", "bytes of the request body as transferred, without chunks or frames, before decoding";
    RESPONSE_HEADERS_SIZE "response_headers_size" Int Of(Http), Stored, "200", "bytes of the status line and headers; of HTTP/2 the compressed header blocks";
    RESPONSE_BODY_SIZE "response_body_size" Int Of(Http), Stored, "1024", "bytes of the response body as transferred, without chunks or frames, before decoding";
    REQUEST_BODY_TRUNCATED "request_body_truncated" Bool Several(WITH_BODIES), Stored, "request_body_truncated", "true when request.body holds less than the whole body";
    RESPONSE_BODY_TRUNCATED "response_body_truncated" Bool Several(WITH_BODIES), Stored, "response_body_truncated", "true when response.body holds less than the whole body";
    CONTENT_TYPE "content_type" Text Of(Http), Repeating, "\"application/json\"", "media type of the response, else of the request, without parameters";
    USER_AGENT "user_agent" Text Of(Http), Repeating, "\"curl/8.5.0\"", "User-Agent header";
    TRACE_ID "trace_id" Text Of(Http), Stored, "\"4bf92f3577b34da6a3ce929d0e0e4736\"", "trace id from the traceparent, b3 or x-b3-traceid header";
    SPAN_ID "span_id" Text Of(Http), Stored, "\"00f067aa0ba902b7\"", "span id from the traceparent, b3 or x-b3-spanid header";

    // HTTP/2.
    HTTP2_STREAM "http2_stream" Int Of(Http), Stored, "1", "HTTP/2 stream identifier";
    HTTP2_ERROR "http2_error" Text Of(Http), Repeating, "\"CANCEL\"", "error code of the RST_STREAM or GOAWAY frame that ended the call";
    HTTP2_PUSHED "http2_pushed" Bool Of(Http), Stored, "http2_pushed", "true when the server pushed the response unasked";
    HTTP2_UNKNOWN_HEADERS "http2_unknown_headers" Int Of(Http), Stored, "3", "header fields with a ? in place of the name or value, because the capture does not show where they were defined";

    // gRPC (its calls have the fields of HTTP as well).
    GRPC_SERVICE "grpc_service" Text Of(Grpc), Repeating, "\"helloworld.Greeter\"", "service with its package, from the path";
    GRPC_METHOD "grpc_method" Text Of(Grpc), Repeating, "\"SayHello\"", "method, the last part of the path";
    GRPC_STATUS "grpc_status" Int Of(Grpc), Stored, "5", "status code from the grpc-status trailer";
    GRPC_STATUS_NAME "grpc_status_name" Text Of(Grpc), Repeating, "\"NOT_FOUND\"", "status code by name";
    GRPC_MESSAGE "grpc_message" Text Of(Grpc), Stored, "\"no such user\"", "error text from the grpc-message trailer, percent-decoded";
    GRPC_KIND "grpc_kind" Text Of(Grpc), Repeating, "\"unary\"", "unary, client_stream, server_stream or bidi_stream, by the number of messages sent; absent where not all were seen";
    GRPC_REQUEST_MESSAGES "grpc_request_messages" Int Of(Grpc), Stored, "1", "messages that the client sent";
    GRPC_RESPONSE_MESSAGES "grpc_response_messages" Int Of(Grpc), Stored, "1", "messages that the server sent";
    GRPC_ENCODING "grpc_encoding" Text Of(Grpc), Repeating, "\"gzip\"", "message compression of the response, else of the request, from grpc-encoding";
    GRPC_TIMEOUT "grpc_timeout" Int Of(Grpc), Stored, "1000000", "microseconds that the client allows for the call, from grpc-timeout";

    // DNS.
    DNS_QUESTIONS "dns_questions" List Of(Dns), Stored, "\"example.com\" in dns_questions", "names asked for, without the final dot";
    DNS_ANSWERS "dns_answers" List Of(Dns), Stored, "\"1.2.3.4\" in dns_answers", "answers as text: addresses, names or record data";
    DNS_QUESTION_TYPES "dns_question_types" List Of(Dns), Stored, "\"AAAA\" in dns_question_types", "record types asked for";
    DNS_ANSWER_TYPES "dns_answer_types" List Of(Dns), Stored, "\"CNAME\" in dns_answer_types", "record types of dns_answers, in the same order";
    DNS_ANSWER_TTLS "dns_answer_ttls" List Of(Dns), Stored, "\"60\" in dns_answer_ttls", "times to live of dns_answers in seconds, in the same order";
    DNS_ID "dns_id" Int Of(Dns), Stored, "4660", "transaction id";
    DNS_OPCODE "dns_opcode" Text Of(Dns), Repeating, "\"QUERY\"", "operation, for example QUERY, NOTIFY or UPDATE";
    DNS_RCODE "dns_rcode" Text Of(Dns), Repeating, "\"NXDOMAIN\"", "response code by name, extended codes included";
    DNS_FLAGS "dns_flags" List Of(Dns), Stored, "\"tc\" in dns_flags", "flags of the response, else of the request: aa, tc, rd, ra, ad, cd, do";
    DNS_CLIENT_SUBNET "dns_client_subnet" Text Of(Dns), Stored, "\"192.0.2.0/24/24\"", "EDNS client subnet of the response, else of the request: address/source prefix/scope prefix";
    DNS_REQUEST "dns_request" Bool Of(Dns), Stored, "dns_request", "true when the query was seen";
    DNS_RESPONSE "dns_response" Bool Of(Dns), Stored, "dns_response", "true when the response was seen";
    DNS_REQUEST_LENGTH "dns_request_length" Int Of(Dns), Derived, "33", "bytes of the query message";
    DNS_RESPONSE_LENGTH "dns_response_length" Int Of(Dns), Derived, "120", "bytes of the response message";
    DNS_TOTAL_SIZE "dns_total_size" Int Of(Dns), Derived, "153", "dns_request_length + dns_response_length";

    // Redis.
    REDIS_TYPE "redis_type" Text Of(Redis), Repeating, "\"GET\"", "command verb, upper case, with its subcommand where it has one; for a push its kind";
    REDIS_COMMAND "redis_command" Text Of(Redis), Stored, "\"GET session:1234\"", "command line, up to the payload limit; secrets of AUTH and HELLO replaced";
    REDIS_KEY "redis_key" Text Of(Redis), Stored, "\"session:1234\"", "first key or channel of the command, up to 64 bytes";
    REDIS_REPLY "redis_reply" Text Of(Redis), Late, "redis_reply.contains(\"PONG\")", "reply rendered as text, up to the payload limit";
    REDIS_REPLY_TYPE "redis_reply_type" Text Of(Redis), Repeating, "\"bulk\"", "type of the reply: simple, error, int, bulk, array, null, map, set, double, bool, bignum, verbatim or push";
    REDIS_ERROR "redis_error" Text Of(Redis), Stored, "\"WRONGTYPE ...\"", "error text of the reply";
    REDIS_REQUEST_SIZE "redis_request_size" Int Of(Redis), Derived, "32", "bytes of the request";
    REDIS_RESPONSE_SIZE "redis_response_size" Int Of(Redis), Derived, "5", "bytes of the response";
    REDIS_TOTAL_SIZE "redis_total_size" Int Of(Redis), Derived, "37", "redis_request_size + redis_response_size";

    // Kafka.
    KAFKA_API_KEY "kafka_api_key" Int Of(Kafka), Stored, "0", "API key of the request: 0 is Produce, 1 is Fetch";
    KAFKA_API_KEY_NAME "kafka_api_key_name" Text Of(Kafka), Repeating, "\"PRODUCE\"", "name of the API, as Kafka's ApiKeys has it, for example PRODUCE or LIST_OFFSETS";
    KAFKA_API_VERSION "kafka_api_version" Int Of(Kafka), Stored, "9", "version of the API that the request uses";
    KAFKA_CLIENT_ID "kafka_client_id" Text Of(Kafka), Repeating, "\"payment-processor\"", "client id of the request";
    KAFKA_CORRELATION_ID "kafka_correlation_id" Int Of(Kafka), Stored, "17", "number that pairs request and response on their connection";
    KAFKA_TOPICS "kafka_topics" List Of(Kafka), Stored, "\"orders\" in kafka_topics", "topics that request and response name, up to 256; ids as text where the name was not seen";
    KAFKA_PARTITIONS "kafka_partitions" List Of(Kafka), Stored, "\"orders-0\" in kafka_partitions", "partitions that request and response name, as topic-partition, up to 256";
    KAFKA_GROUP "kafka_group" Text Of(Kafka), Repeating, "\"billing\"", "consumer group, up to 256 bytes";
    KAFKA_TRANSACTIONAL_ID "kafka_transactional_id" Text Of(Kafka), Repeating, "\"payments-1\"", "transactional id of the producer, up to 256 bytes";
    KAFKA_ERROR_CODE "kafka_error_code" Int Of(Kafka), Stored, "3", "first error code of the response that is not 0, else 0; absent where the response has none";
    KAFKA_ERROR "kafka_error" Text Of(Kafka), Repeating, "\"UNKNOWN_TOPIC_OR_PARTITION\"", "name of the error code";
    KAFKA_THROTTLE_TIME_MS "kafka_throttle_time_ms" Int Of(Kafka), Stored, "100", "milliseconds for which a quota held the client back";
    KAFKA_ACKS "kafka_acks" Int Of(Kafka), Stored, "-1", "acknowledgements that a producer waits for: 0 none and no response, 1 the leader's, -1 those of all in-sync replicas";
    KAFKA_RECORDS "kafka_records" Int Of(Kafka), Stored, "250", "records produced or fetched";
    KAFKA_RECORD_KEYS "kafka_record_keys" List Of(Kafka), Stored, "\"order-17\" in kafka_record_keys", "keys of those records that are shown in the body, up to 256";
    KAFKA_COMPRESSION "kafka_compression" Text Of(Kafka), Repeating, "\"zstd\"", "compression of the records: gzip, snappy, lz4 or zstd";
    KAFKA_REQUEST_BODY "kafka_request_body" Text Of(Kafka), Late, "kafka_request_body.contains(\"order-17\")", "request as JSON under the names that brokers log, records decompressed, up to the payload limit";
    KAFKA_RESPONSE_BODY "kafka_response_body" Text Of(Kafka), Late, "kafka_response_body.contains(\"order-17\")", "response as JSON, up to the payload limit";
    KAFKA_REQUEST_SUMMARY "kafka_request_summary" Text Of(Kafka), Stored, "\"orders-topic\"", "topics of the call joined by a comma and a space, else its group, transactional id or what it is about";
    KAFKA_REQUEST "kafka_request" Bool Of(Kafka), Stored, "kafka_request", "true when the request was seen";
    KAFKA_RESPONSE "kafka_response" Bool Of(Kafka), Stored, "kafka_response", "true when the response was seen";
    KAFKA_SIZE "kafka_size" Int Of(Kafka), Derived, "512", "bytes of the request, else of the response";
    KAFKA_REQUEST_SIZE "kafka_request_size" Int Of(Kafka), Derived, "512", "bytes of the request";
    KAFKA_RESPONSE_SIZE "kafka_response_size" Int Of(Kafka), Derived, "64", "bytes of the response";

    // MySQL, MariaDB and PostgreSQL.
    SQL_TABLES "sql_tables" List Several(WITH_SQL), Stored, "\"orders\" in sql_tables", "tables that the statement names, as it spells them, without quotation marks; at most 16";
    MYSQL_COMMAND "mysql_command" Text Of(Mysql), Repeating, "\"COM_QUERY\"", "command, or HANDSHAKE for the login";
    MYSQL_QUERY "mysql_query" Text Of(Mysql), Stored, "mysql_query.contains(\"FROM orders\")", "statement, up to the payload limit, for COM_STMT_EXECUTE that of the prepared one; passwords replaced";
    MYSQL_PARAMETERS "mysql_parameters" List Of(Mysql), Stored, "\"7\" in mysql_parameters", "values bound to the statement, as text, NULL for none";
    MYSQL_DATABASE "mysql_database" Text Of(Mysql), Repeating, "\"shop\"", "default database, where it is known";
    MYSQL_USER "mysql_user" Text Of(Mysql), Repeating, "\"app\"", "user that logged in, where it is known";
    MYSQL_STATEMENT_ID "mysql_statement_id" Int Of(Mysql), Stored, "3", "number of the prepared statement";
    MYSQL_ROWS "mysql_rows" Int Of(Mysql), Stored, "mysql_rows > 1000", "rows returned, else rows affected";
    MYSQL_COLUMNS "mysql_columns" Int Of(Mysql), Stored, "4", "columns of the first result set";
    MYSQL_SUCCESS "mysql_success" Bool Of(Mysql), Stored, "mysql_success", "true when the server answered without an error";
    MYSQL_ERROR_CODE "mysql_error_code" Int Of(Mysql), Stored, "1146", "error number of the server";
    MYSQL_SQLSTATE "mysql_sqlstate" Text Of(Mysql), Repeating, "\"42S02\"", "SQLSTATE of the error";
    MYSQL_ERROR_MESSAGE "mysql_error_message" Text Of(Mysql), Stored, "\"Table 'shop.x' doesn't exist\"", "text of the error";
    MYSQL_AUTH_PLUGIN "mysql_auth_plugin" Text Of(Mysql), Repeating, "\"caching_sha2_password\"", "authentication plugin of a login, the last one asked for";
    MYSQL_SERVER_VERSION "mysql_server_version" Text Of(Mysql), Repeating, "\"8.0.36\"", "version that the server announced at the login";
    MYSQL_REQUEST_SIZE "mysql_request_size" Int Of(Mysql), Derived, "64", "bytes of the request";
    MYSQL_RESPONSE_SIZE "mysql_response_size" Int Of(Mysql), Derived, "512", "bytes of the response";
    MYSQL_TOTAL_SIZE "mysql_total_size" Int Of(Mysql), Derived, "576", "mysql_request_size + mysql_response_size";
    POSTGRESQL_COMMAND "postgresql_command" Text Of(Postgresql), Repeating, "\"SELECT\"", "command tag, else the statement's first word or the kind of message: such as STARTUP, SSLREQUEST, PARSE, DESCRIBE or NOTIFICATION";
    POSTGRESQL_QUERY "postgresql_query" Text Of(Postgresql), Stored, "postgresql_query.contains(\"FROM orders\")", "statement, up to the payload limit, for an execution that of the prepared one; passwords replaced";
    POSTGRESQL_PARAMETERS "postgresql_parameters" List Of(Postgresql), Stored, "\"7\" in postgresql_parameters", "values bound to the statement, as text, NULL for none";
    POSTGRESQL_STATEMENT "postgresql_statement" Text Of(Postgresql), Stored, "\"S_1\"", "name of the prepared statement, where it has one";
    POSTGRESQL_DATABASE "postgresql_database" Text Of(Postgresql), Repeating, "\"shop\"", "database of the connection, where it is known";
    POSTGRESQL_USER "postgresql_user" Text Of(Postgresql), Repeating, "\"app\"", "user of the connection, where it is known";
    POSTGRESQL_APPLICATION "postgresql_application" Text Of(Postgresql), Repeating, "\"psql\"", "application_name of the connection, where it is known";
    POSTGRESQL_AUTH_METHOD "postgresql_auth_method" Text Of(Postgresql), Repeating, "\"scram-sha-256\"", "how the server asked a login to prove itself";
    POSTGRESQL_ROWS "postgresql_rows" Int Of(Postgresql), Stored, "postgresql_rows > 1000", "rows returned, affected or copied, of all statements of the message";
    POSTGRESQL_SUCCESS "postgresql_success" Bool Of(Postgresql), Stored, "postgresql_success", "true when the server answered without an error";
    POSTGRESQL_ERROR_CODE "postgresql_error_code" Text Of(Postgresql), Repeating, "\"23505\"", "SQLSTATE of the error";
    POSTGRESQL_ERROR_MESSAGE "postgresql_error_message" Text Of(Postgresql), Stored, "postgresql_error_message.contains(\"duplicate\")", "text of the error";
    POSTGRESQL_NOTICE "postgresql_notice" Text Of(Postgresql), Stored, "postgresql_notice != \"\"", "first notice that came with the answer";
    POSTGRESQL_CHANNEL "postgresql_channel" Text Of(Postgresql), Repeating, "\"jobs\"", "channel of a notification, whose payload is the response body";
    POSTGRESQL_REQUEST_SIZE "postgresql_request_size" Int Of(Postgresql), Derived, "64", "bytes of the request";
    POSTGRESQL_RESPONSE_SIZE "postgresql_response_size" Int Of(Postgresql), Derived, "512", "bytes of the response";
    POSTGRESQL_TOTAL_SIZE "postgresql_total_size" Int Of(Postgresql), Derived, "576", "postgresql_request_size + postgresql_response_size";

    // Flows.
    FIRST_SEEN "first_seen" Time Flow, Stored, "timestamp(\"2026-11-21T04:40:49Z\")", "time of the flow's first packet";
    CONN_STATE "conn_state" Text Flow, Repeating, "\"open\"", "open, in_progress or closed";
    CLOSE_REASON "close_reason" Text Flow, Repeating, "\"reset\"", "how it ended: fin, reset, idle, evicted or capture_end";
    SRC_PACKETS "src.packets" Int Flow, Stored, "12", "packets from the client since first_seen, as its socket sends or gets them: offloads make one of several";
    SRC_BYTES "src.bytes" Int Flow, Stored, "4096", "IP bytes from the client since first_seen, headers included";
    DST_PACKETS "dst.packets" Int Flow, Stored, "10", "packets from the server, counted like src.packets";
    DST_BYTES "dst.bytes" Int Flow, Stored, "65536", "IP bytes from the server since first_seen, headers included";
    TCP_RTT_US "tcp_rtt_us" Int Flow, Stored, "150", "microseconds from the SYN to the ACK that completed the handshake; absent when its start was not seen";
    TCP_RETRANSMITS "tcp_retransmits" Int Flow, Stored, "2", "segments that repeated bytes";
    SRC_TCP_FLAGS "src.tcp_flags" Int Flow, Stored, "27", "union of the TCP flag bits from the client";
    DST_TCP_FLAGS "dst.tcp_flags" Int Flow, Stored, "27", "union of the TCP flag bits from the server";
    MISSING_BYTES "missing_bytes" Int Flow, Stored, "0", "payload bytes that the capture lacks";
    CONN_L7_DETECTED "conn_l7_detected" List Flow, Stored, "\"http\" in conn_l7_detected", "application protocols found in it";
    CONN "conn" Bool Flow, Derived, "conn", "true for flow rows, by its KFL2 name";
    FLOW "flow" Bool Flow, Derived, "flow", "true for flow rows, by its KFL2 name";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indexes_and_names_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for (i, f) in CATALOGUE.iter().enumerate() {
            assert_eq!(usize::from(f.id.0), i);
            assert!(names.insert(f.name), "{} twice", f.name);
            assert!(!f.meaning.ends_with('.') && !f.meaning.is_empty(), "{}", f.name);
        }
    }

    #[test]
    fn every_protocol_has_its_flag() {
        for p in Protocol::ALL {
            assert_eq!(by_name(p.name()).map(|f| f.ty), Some(FieldType::Bool));
        }
    }
}

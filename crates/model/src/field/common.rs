//! Fields of every call, and those that calls share with flow rows.

use super::spec::*;

fields! { nothing before;
    ID "id" Int Call, Stored, "123456789", "identifies the call; stable until retention removes it";
    TS "ts" Time Both, Stored, "timestamp(\"2026-11-21T04:40:49Z\")", "time of the request's first byte, or of the flow's newest packet";
    TIMESTAMP "timestamp" Time Both, Derived, "now() - duration(\"5m\")", "the same as ts, by its KFL2 name";
    PROTOCOL "protocol" Text Call, Repeating, "\"http\"", "application protocol, lower case";
    TRANSPORT "transport" Text Both, Repeating, "\"tcp\"", "what carried it: tcp, udp, icmp or sctp";
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
    CAPTURE_BACKEND "capture_backend" LowerText Both, Derived, "\"ebpf\"", "capture_source without the distinction of TLS plaintext";
    ELAPSED_TIME "elapsed_time" Int Call, Stored, "5000", "microseconds from the request's last byte to the response's first byte";
    TTLB "ttlb" Int Call, Stored, "9000", "microseconds from the request's first byte to the response's last byte";
    FAILED "failed" Bool Call, Stored, "failed", "true when the protocol says that the call failed";
    CLIENT_ERROR "client_error" Bool Call, Stored, "client_error", "true when the protocol blames the client, as HTTP does with 4xx";
    INCOMPLETE "incomplete" Text Call, Repeating, "\"no_response\"", "why the call is not whole: no_response, no_request, gap, truncated or reset";
    TLS "tls" Bool Call, Stored, "tls", "true when the call travelled in TLS and its plaintext was captured or decrypted";
    SUMMARY "summary" Text Call, Derived, "summary.contains(\"/api/orders\")", "what was asked, in a line, whatever the protocol, up to 256 characters: such as method, host and target, or the statement";
    OUTCOME "outcome" Text Call, Derived, "outcome != \"200\"", "how it ended, in a word, whatever the protocol: status, code or error text";
    REQUEST_BYTES "request_bytes" Int Call, Stored, "512", "bytes of the request on the wire, framing included";
    RESPONSE_BYTES "response_bytes" Int Call, Stored, "2048", "bytes of the response on the wire, framing included";
    REQUEST_POS "request_pos" Int Call, Stored, "0", "offset of the request in the client's byte stream as captured";
    RESPONSE_POS "response_pos" Int Call, Stored, "0", "offset of the response in the server's byte stream as captured";
}

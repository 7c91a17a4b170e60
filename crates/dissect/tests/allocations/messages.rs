//! Messages of HTTP that the tests share.

pub const REQUEST: &[u8] =
    b"GET /api/items?page=2 HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/8.5.0\r\n\
    Accept: */*\r\nCookie: session=0123456789abcdef\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
pub const WITH_LENGTH: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 04:40:49 GMT\r\n\
    Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 16\r\nConnection: keep-alive\r\n\r\n{\"items\":[1,2,3]";
pub const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nTransfer-Encoding: chunked\r\n\r\n\
    8\r\n{\"items\"\r\n8\r\n:[1,2,3]\r\n0\r\n\r\n";

//! Small clients and servers.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread::JoinHandle,
};

/// Bytes in which every position is recognisable.
pub(crate) fn pattern(len: usize, salt: u32) -> Vec<u8> {
    (0u32..).flat_map(|i| (i.wrapping_mul(2_654_435_761) ^ salt).to_le_bytes()).take(len).collect()
}

/// A server that reads `request` bytes and answers with `response`, for `connections` connections.
pub(crate) fn serve(
    listener: TcpListener,
    connections: usize,
    request: usize,
    response: Vec<u8>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = vec![0; request];
            stream.read_exact(&mut buffer).unwrap();
            stream.write_all(&response).unwrap();
        }
    })
}

/// Sends `request`, reads everything, and returns the client's address and what it read.
pub(crate) fn exchange(server: SocketAddr, request: &[u8]) -> (SocketAddr, Vec<u8>) {
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    (client, answer)
}

//! HTTP calls on loopback, each with a number of its own in its path.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::seed::Seed;

/// The least pause after a call of a load that was slowed down.
const SLOW: Duration = Duration::from_millis(40);

/// How a client goes about its calls.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// One connection for all calls instead of one for each.
    pub keep_alive: bool,
    /// Pause after each call.
    pub pause: Duration,
    /// Bytes of the response's body, which do not compress.
    pub body: usize,
}

/// A call that was made and answered.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Its number.
    pub number: u64,
    /// Its client.
    pub client: usize,
    /// Just before the first byte was sent.
    pub start: Instant,
    /// When the last byte had been read.
    pub end: Instant,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    paused: AtomicBool,
    slow: AtomicBool,
    busy: AtomicUsize,
    next: AtomicU64,
    made: Mutex<Vec<Made>>,
    failed: Mutex<Option<String>>,
}

/// A server and its clients.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    address: SocketAddr,
    clients: Vec<JoinHandle<()>>,
    server: Option<JoinHandle<()>>,
}

impl Load {
    /// A server without clients.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn new() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let of_server = Arc::clone(&shared);
        let server = std::thread::spawn(move || serve(&listener, &of_server));
        Ok(Self { shared, address, clients: Vec::new(), server: Some(server) })
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Adds a client, which begins at once.
    pub fn add(&mut self, manner: Manner) {
        let (shared, address, index) = (Arc::clone(&self.shared), self.address, self.clients.len());
        self.clients.push(std::thread::spawn(move || {
            if let Err(error) = client(&shared, address, index, manner) {
                *lock(&shared.failed) = Some(format!("client {index}: {error:#}"));
            }
        }));
    }

    /// The calls made so far.
    ///
    /// # Errors
    /// When a client has failed: traffic must go on whatever happens to Remora.
    pub fn made(&self) -> Result<Vec<Made>> {
        let failed = lock(&self.shared.failed).clone();
        ensure!(failed.is_none(), "the load itself failed: {}", failed.unwrap_or_default());
        Ok(lock(&self.shared.made).clone())
    }

    /// Lets the clients finish their calls and rest.
    ///
    /// # Errors
    /// When a client has failed or hangs.
    pub fn pause(&self) -> Result<()> {
        self.shared.paused.store(true, Ordering::SeqCst);
        super::wait_until("an idle load", Duration::from_secs(30), || {
            self.made()?;
            let busy = self.shared.busy.load(Ordering::SeqCst);
            Ok(if busy == 0 { Ok(()) } else { Err(format!("{busy} calls under way")) })
        })
    }

    /// Makes every client rest after each call, however it began.
    pub fn slow_down(&self) {
        self.shared.slow.store(true, Ordering::SeqCst);
    }

    /// Lets the clients go on.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::SeqCst);
    }

    /// Waits until this many more calls have been made.
    ///
    /// # Errors
    /// When a client has failed, or calls take too long.
    pub fn more(&self, count: usize) -> Result<()> {
        let before = self.made()?.len();
        super::wait_until("more calls", Duration::from_secs(120), || {
            let now = self.made()?.len();
            Ok(if now >= before + count { Ok(()) } else { Err(format!("{} calls", now - before)) })
        })
    }

    /// Makes one call on a connection of its own and gives its number.
    ///
    /// # Errors
    /// When it fails.
    pub fn probe(&self) -> Result<u64> {
        let number = self.shared.next.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        call(connect(self.address)?, number, 10, false)?;
        lock(&self.shared.made).push(Made { number, client: usize::MAX, start, end: Instant::now() });
        Ok(number)
    }

    /// Ends the clients and gives every call.
    ///
    /// # Errors
    /// When a client has failed.
    pub fn finish(mut self) -> Result<Vec<Made>> {
        self.end();
        self.made()
    }

    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            _ = client.join();
        }
        // The server looks at the flag when somebody connects.
        _ = TcpStream::connect(self.address);
        if let Some(server) = self.server.take() {
            _ = server.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// The path of a call.
pub fn path(number: u64, body: usize) -> String {
    format!("/call/{number}/{body}")
}

/// The number in a path.
pub fn number(path: &str) -> Option<u64> {
    path.strip_prefix("/call/")?.split('/').next()?.parse().ok()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    Ok(BufReader::new(stream))
}

fn client(shared: &Shared, address: SocketAddr, index: usize, manner: Manner) -> Result<()> {
    let mut kept = None;
    while !shared.ended.load(Ordering::SeqCst) {
        shared.busy.fetch_add(1, Ordering::SeqCst);
        // Looked at after `busy` was raised, so that a pause waits for this call or prevents it.
        if shared.paused.load(Ordering::SeqCst) {
            shared.busy.fetch_sub(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        let number = shared.next.fetch_add(1, Ordering::SeqCst);
        let start = Instant::now();
        let connection = match kept.take() {
            Some(connection) => connection,
            None => connect(address)?,
        };
        let connection = call(connection, number, manner.body, manner.keep_alive)
            .with_context(|| format!("call {number}"))?;
        kept = manner.keep_alive.then_some(connection);
        lock(&shared.made).push(Made { number, client: index, start, end: Instant::now() });
        shared.busy.fetch_sub(1, Ordering::SeqCst);
        let slow = shared.slow.load(Ordering::SeqCst);
        std::thread::sleep(if slow { manner.pause.max(SLOW) } else { manner.pause });
    }
    Ok(())
}

fn call(
    mut connection: BufReader<TcpStream>,
    number: u64,
    body: usize,
    keep_alive: bool,
) -> Result<BufReader<TcpStream>> {
    let how = if keep_alive { "keep-alive" } else { "close" };
    let request = format!("GET {} HTTP/1.1\r\nHost: load\r\nConnection: {how}\r\n\r\n", path(number, body));
    connection.get_mut().write_all(request.as_bytes())?;
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(connection.read_line(&mut line)? > 0, "the server has closed the connection");
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    ensure!(length == body, "{length} bytes instead of {body}");
    std::io::copy(&mut (&mut connection).take(length as u64), &mut std::io::sink())?;
    Ok(connection)
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        // Ends when the client closes.
        std::thread::spawn(move || _ = answer(stream));
    }
}

fn answer(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let path = line.split(' ').nth(1).context("no path")?.to_owned();
        let mut close = false;
        while stream.read_line(&mut line)? > 2 {
            close |= line.ends_with("Connection: close\r\n");
        }
        let mut parts = path.rsplit('/');
        let body: usize = parts.next().context("no length")?.parse()?;
        let number = number(&path).context("no number")?;
        let mut response = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {body}\r\n\r\n"
        )
        .into_bytes();
        let head = response.len();
        response.resize(head + body, 0);
        Seed::new(number).fill(&mut response[head..]);
        stream.get_mut().write_all(&response)?;
        if close {
            return Ok(());
        }
    }
}

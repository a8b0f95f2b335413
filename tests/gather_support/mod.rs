//! Servers for the tests of `gather`: one that misbehaves on purpose, and
//! nginx for ordinary service.

#![allow(dead_code, reason = "each test uses its part")]

pub mod nginx;

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix_verify::gather::http::url_guard::{AddressClass, classify};
use nix_verify::gather::http::{HttpClient, HttpOptions, Patience};

/// The address that tests take for a public one.
pub const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// As [`classify`], but [`PUBLIC`] is public.
pub fn classify_for_tests(address: IpAddr) -> AddressClass {
    if address == PUBLIC { AddressClass::Public } else { classify(address) }
}

/// Deadlines short enough for tests.
pub fn impatient() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        idle: Duration::from_millis(700),
        small_total: Duration::from_secs(2),
        large_base: Duration::from_secs(2),
        large_rate: 1 << 20,
        tries: 5,
        retry_base: Duration::from_millis(1),
        retry_cap: Duration::from_millis(20),
        retry_after_cap: Duration::from_millis(400),
    }
}

/// A client with those deadlines.
pub fn client() -> HttpClient {
    HttpClient::new(options())
}

/// Its options.
pub fn options() -> HttpOptions {
    HttpOptions { patience: impatient(), classify: classify_for_tests, ..HttpOptions::default() }
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The target, as `/path?query`.
    pub target: String,
    /// The head, lower-cased.
    pub head: String,
    /// How many requests came before.
    pub index: usize,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// Something to answer on.
pub trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// A server on loopback that answers as it is told.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    scheme: &'static str,
}

type Answer = dyn Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Send + Sync;

impl Server {
    /// Starts one on 127.0.0.1. An error of the handler closes the connection
    /// with a reset.
    pub fn start(
        answer: impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST, None, answer)
    }

    /// Starts one on another loopback address, maybe with TLS.
    pub fn start_at(
        address: Ipv4Addr,
        tls: Option<Arc<rustls::ServerConfig>>,
        answer: impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            scheme: if tls.is_some() { "https" } else { "http" },
        };
        let (seen, connections) = (Arc::clone(&server.seen), Arc::clone(&server.connections));
        let answer: Arc<Answer> = Arc::new(answer);
        // The thread ends with the test process.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), seen, answer) = (stream, Arc::clone(&seen), Arc::clone(&answer))
                else {
                    continue;
                };
                connections.fetch_add(1, Ordering::SeqCst);
                let tls = tls.clone();
                std::thread::spawn(move || {
                    let raw = stream.try_clone().unwrap();
                    let served = match tls {
                        Some(config) => {
                            let connection = rustls::ServerConnection::new(config).unwrap();
                            let mut stream = rustls::StreamOwned::new(connection, stream);
                            let served = serve(&mut stream, &seen, &*answer);
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                            served
                        }
                        None => serve(&mut { stream }, &seen, &*answer),
                    };
                    if served.is_err() {
                        // An immediate reset instead of an orderly end.
                        let _ = rustix::net::sockopt::set_socket_linger(&raw, Some(Duration::ZERO));
                    }
                });
            }
        });
        server
    }

    /// The URL of a path on it.
    pub fn url(&self, path: &str) -> url::Url {
        url::Url::parse(&format!("{}://{}{path}", self.scheme, self.address)).unwrap()
    }

    /// What was requested so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: &mut dyn Stream, seen: &Mutex<Vec<Seen>>, answer: &Answer) -> io::Result<()> {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return Ok(()),
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let request = {
            let mut seen = seen.lock().unwrap();
            let index = seen.len();
            seen.push(Seen { target, head: head.to_ascii_lowercase(), index });
            seen[index].clone()
        };
        answer(&request, stream)?;
        stream.flush()?;
        if request.header("x-close").is_some() {
            return Ok(());
        }
    }
}

/// Writes an ordinary answer; the connection stays open.
pub fn respond(
    stream: &mut dyn Stream,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// An error that makes the server reset the connection.
pub fn reset() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionReset.into())
}

/// A certificate authority of our own and a server configuration from it.
pub struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    /// Its certificate.
    pub pem: String,
}

impl Authority {
    /// Makes one.
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate and key for `names`, valid or expired, in PEM.
    pub fn certify(&self, names: &[&str], expired: bool) -> (rcgen::Certificate, rcgen::KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        if expired {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server configuration for `names`.
    pub fn server(&self, names: &[&str], expired: bool) -> Arc<rustls::ServerConfig> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (certificate, key) = self.certify(names, expired);
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

//! A cache behind a proxy, by TLS through a tunnel: the proxy sees its own
//! credentials and the name of the host, the cache sees its own credentials,
//! and neither sees the other's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests state what they expect and may stop at the first surprise"
)]

mod gather_support;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use gather_support::{Authority, Server, respond};
use nix_verify::gather::cache::narinfos::Question;
use nix_verify::gather::cache::{CacheClient, CacheUrl, NarInfoAnswer};
use nix_verify::gather::http::credentials::Netrc;
use nix_verify::gather::http::proxy::Proxies;
use nix_verify::gather::http::{HttpClient, HttpOptions};
use nix_verify::nix::store_path::{StoreDir, StorePath};

/// A proxy that opens every tunnel to `upstream`; says what it was asked.
fn proxy(upstream: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    // The threads end with the test process.
    std::thread::spawn(move || {
        for mut near in listener.incoming().flatten() {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && near.read(&mut byte).unwrap() == 1 {
                    head.push(byte[0]);
                }
                seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                let far = TcpStream::connect(upstream).unwrap();
                near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
                let (mut back_in, mut back_out) =
                    (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || std::io::copy(&mut back_in, &mut back_out));
                let _ = std::io::copy(&mut near, &mut &far);
            });
        }
    });
    (address, heads)
}

#[test]
fn a_tunnel_keeps_secrets_apart() {
    let authority = Authority::new();
    let tls = authority.server(&["cache.example"], false);
    let server = Server::start_at(Ipv4Addr::LOCALHOST, Some(tls), |seen, stream| {
        if seen.target == "/nix-cache-info" {
            return respond(stream, 200, &[], b"StoreDir: /nix/store\n");
        }
        respond(stream, 200, &[], seen.target.as_bytes())
    });
    let (address, heads) = proxy(server.address);
    let proxies = Proxies::parse(|name| {
        (name == "https_proxy").then(|| format!("http://outer:proxy-secret@{address}"))
    });
    let http = HttpClient::new(HttpOptions {
        proxies: proxies.unwrap(),
        ca_certificates: Some(authority.pem.into_bytes()),
        ..HttpOptions::default()
    });
    let netrc = Netrc::parse(b"machine cache.example login inner password cache-secret").unwrap();
    let client = CacheClient::new(http, netrc, StoreDir::default());
    let caches = [CacheUrl::parse("https://cache.example").unwrap()];
    let questions = (0..40)
        .map(|number| Question { cache: 0, path: StorePath::new([number; 20], "x").unwrap() });
    let present = Mutex::new(0);
    client.narinfos(&caches, questions, |question, answer, _| {
        let NarInfoAnswer::Present(bytes) = answer else { panic!("{answer:?}") };
        assert_eq!(bytes, format!("/{}.narinfo", question.path.hash_part()).as_bytes());
        *present.lock().unwrap() += 1;
    });
    assert_eq!(present.into_inner().unwrap(), 40);
    let heads = std::mem::take(&mut *heads.lock().unwrap());
    assert!(!heads.is_empty());
    for head in heads.iter() {
        assert!(head.starts_with("CONNECT cache.example:443 HTTP/1.1\r\n"), "{head}");
        // outer:proxy-secret, and nothing of the cache's.
        let lower = head.to_ascii_lowercase();
        assert!(lower.contains("proxy-authorization: basic b3v0zxi6chjvehktc2vjcmv0"), "{head}");
        assert!(!lower.contains("\r\nauthorization"), "{head}");
    }
    for seen in server.seen() {
        // inner:cache-secret, and nothing of the proxy's.
        assert_eq!(seen.header("authorization"), Some("basic aw5uzxi6y2fjagutc2vjcmv0"));
        assert_eq!(seen.header("proxy-authorization"), None);
    }
    // Through the tunnel too, the server has to be who it should be.
    let other = HttpClient::new(HttpOptions {
        proxies: Proxies::parse(|name| {
            (name == "https_proxy").then(|| format!("http://{address}"))
        })
        .unwrap(),
        ..HttpOptions::default()
    });
    let client = CacheClient::new(other, Netrc::default(), StoreDir::default());
    let error = client.cache_info(&caches[0]).unwrap_err().to_string();
    assert!(error.contains("the TLS connection is not trusted"), "{error}");
}

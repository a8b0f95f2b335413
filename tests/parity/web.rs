//! A small web server on the loopback interface, for what builders download.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// A path that leads to [`TARGET`].
const REDIRECT: &str = "/redirect";

/// Where the redirect leads.
const TARGET: &str = "/parity.txt";

/// What makes the server a binary cache, though one with nothing in it: to
/// servers on this machine `verify` goes only if they are named, as a cache.
const CACHE_INFO: (&str, &[u8]) = ("/nix-cache-info", b"StoreDir: /nix/store\n");

/// Serves `files` by path until the test process ends; returns the address.
pub fn serve(files: BTreeMap<&'static str, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let files = Arc::new(files);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = Arc::clone(&files);
            // A client that goes away early is the client's affair.
            thread::spawn(move || answer(stream, &files).ok());
        }
    });
    address
}

fn answer(stream: TcpStream, files: &BTreeMap<&'static str, Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (status, extra, body): (_, String, &[u8]) = match (path, files.get(path)) {
        (REDIRECT, _) => ("302 Found", format!("Location: {TARGET}\r\n"), b""),
        (path, _) if path == CACHE_INFO.0 => ("200 OK", String::new(), CACHE_INFO.1),
        (_, Some(body)) => ("200 OK", String::new(), body),
        (_, None) => ("404 Not Found", String::new(), b""),
    };
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

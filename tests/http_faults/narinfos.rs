//! Faults of single answers.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::time::Duration;

use nix_verify::gather::cache::NarInfoAnswer;
use nix_verify::gather::http::HttpOptions;

use crate::bombs::{bomb, gzip_of, part, zstd_of};
use crate::gather_support::{Authority, PUBLIC, Seen, Server, Stream, reset, respond};
use crate::{Fault, cache, cache_server, client, http_options, path};

static GZIP_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| bomb(gzip_of(part())));
static ZSTD_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| bomb(zstd_of(part())));

/// What the client says about the narinfo of such a server.
fn asked(server: &Server, options: HttpOptions) -> String {
    match client(options).narinfo(&cache(server), &path()) {
        NarInfoAnswer::Present(bytes) => {
            format!("present: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]))
        }
        NarInfoAnswer::Absent => "absent".to_owned(),
        NarInfoAnswer::Unreachable(why) => why.detail,
    }
}

fn fault(
    name: &'static str,
    wanted: &'static str,
    answer: impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Clone + Send + Sync + 'static,
) -> Fault {
    let meet = move || asked(&cache_server(answer.clone()), http_options());
    Fault { name, wanted, meet: Box::new(meet) }
}

/// Writes without an end, until the client has had enough.
fn endless(stream: &mut dyn Stream, part: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(part)?;
    }
}

/// Writes a byte at a time, slowly.
fn dribble(stream: &mut dyn Stream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        std::thread::sleep(pause);
    }
    Ok(())
}

fn redirect(to: &'static str) -> impl Fn(&Seen, &mut dyn Stream) -> io::Result<()> + Clone {
    move |_, stream| respond(stream, 302, &[("Location", to)], b"")
}

pub fn faults() -> Vec<Fault> {
    // Made before anybody waits for them.
    assert!(GZIP_BOMB.len() > 900_000 && !ZSTD_BOMB.is_empty());
    let mut faults = slow_and_broken();
    faults.extend(refusals());
    faults.extend(redirects());
    faults.extend(encodings());
    faults.extend(tls());
    faults
}

fn slow_and_broken() -> Vec<Fault> {
    vec![
        fault("silence before the head", "nothing came for 3 s", |_, _| {
            std::thread::sleep(Duration::from_secs(30));
            reset()
        }),
        fault("a head of one byte a second", "nothing came for 3 s", |_, stream| {
            dribble(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n", Duration::from_secs(1))
        }),
        fault("a body of one byte a second", "not complete after 4 s", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")?;
            dribble(stream, &[b'x'; 1000], Duration::from_secs(1))
        }),
        fault("silence within the body", "nothing came for 3 s", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nabc")?;
            stream.flush()?;
            std::thread::sleep(Duration::from_secs(30));
            reset()
        }),
        fault("a length that is too large", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\nshort")?;
            stream.flush()?;
            reset()
        }),
        fault("a length that is too small", "present: Sto", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\nStorePath: /nix/store/x")
        }),
        fault("a length that is no number", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: many\r\n\r\nx")?;
            reset()
        }),
        fault("two lengths that differ", "the connection broke", |_, stream| {
            stream.write_all(
                b"HTTP/1.1 200 X\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
            )?;
            reset()
        }),
        fault("a length of 10 GiB", "longer than", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 10737418240\r\n\r\n")?;
            endless(stream, &[b'x'; 4096])
        }),
        fault("an endless body", "longer than", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            endless(stream, &[b'x'; 4096])
        }),
        fault("an endless body in chunks", "longer than", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
            endless(stream, chunk.as_bytes())
        }),
        fault("chunks of no size", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n")?;
            reset()
        }),
        fault("a chunk of 2^64 bytes", "the connection broke", |_, stream| {
            stream.write_all(
                b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\nx",
            )?;
            reset()
        }),
        fault("a reset before the head", "the connection broke", |_, _| reset()),
        fault("a reset within the head", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nConte")?;
            stream.flush()?;
            reset()
        }),
        fault("a reset within the body", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 8000\r\n\r\n")?;
            stream.write_all(&[b'x'; 4000])?;
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(50));
            reset()
        }),
        fault("an endless head", "the connection broke", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 X\r\n")?;
            endless(stream, b"X-More: and more and more\r\n")
        }),
        fault("no HTTP at all", "the connection broke", |_, stream| {
            stream.write_all(b"220 mail.example ESMTP\r\n")?;
            reset()
        }),
        fault("information without an end", "nothing came for 3 s", |_, stream| {
            loop {
                stream.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        }),
    ]
}

fn refusals() -> Vec<Fault> {
    let mut faults = vec![
        fault("errors that pass", "present: fine", |seen, stream| {
            // The question before was for nix-cache-info.
            if seen.index < 2 {
                respond(stream, 503, &[], b"busy")
            } else {
                respond(stream, 200, &[], b"fine")
            }
        }),
        fault("errors that stay", "the server answered 503 (tried 2 times)", |_, stream| {
            respond(stream, 503, &[], b"busy")
        }),
        fault("an error that no other try mends", "the server answered 501", |_, stream| {
            respond(stream, 501, &[], b"no")
        }),
        fault("too many requests", "the server answered 429", |_, stream| {
            respond(stream, 429, &[("Retry-After", "999999999")], b"slow down")
        }),
        fault("credentials wanted", "credentials are missing or not accepted", |_, stream| {
            respond(stream, 401, &[("WWW-Authenticate", "Basic")], b"who?")
        }),
        fault("a status that means nothing", "the server answered 299", |_, stream| {
            respond(stream, 299, &[], b"?")
        }),
        fault("a part nobody asked for", "the server answered 206", |_, stream| {
            respond(stream, 206, &[("Content-Range", "bytes 0-1/9")], b"ab")
        }),
    ];
    let page = |_: &Seen, stream: &mut dyn Stream| {
        respond(stream, 200, &[("Content-Type", "text/html")], b"<html>Sign in</html>\n")
    };
    faults.push(Fault {
        name: "a page to sign in instead of a cache",
        wanted: "nix-cache-info",
        meet: Box::new(move || asked(&Server::start(page), http_options())),
    });
    faults.push(Fault {
        name: "a server that is no cache",
        wanted: "this is no binary cache",
        meet: Box::new(|| {
            let server = Server::start(|_, stream| respond(stream, 404, &[], b""));
            asked(&server, http_options())
        }),
    });
    faults
}

fn redirects() -> Vec<Fault> {
    let mut faults = vec![
        fault("redirects in a circle", "more than 10 redirects", redirect("/again")),
        fault("a redirect to a file", "the scheme 'file'", redirect("file:///etc/passwd")),
        fault("a redirect to nowhere", "redirect without a usable target", |_, stream| {
            respond(stream, 302, &[], b"")
        }),
        fault(
            "a redirect to a metadata service",
            "link-local address 169.254.169.254",
            redirect("http://169.254.169.254/latest/meta-data"),
        ),
        fault(
            "a redirect to this machine by another name of it",
            "special-purpose address ::",
            redirect("http://[::]/"),
        ),
    ];
    faults.push(Fault {
        name: "a redirect from the public network to this machine",
        wanted: "loopback address 127.0.0.1",
        meet: Box::new(|| {
            let inside = Server::start(|_, stream| respond(stream, 200, &[], b"secret"));
            let to = inside.url("/secret").to_string();
            let outside = Server::start_at(PUBLIC, None, move |seen, stream| {
                if seen.target.ends_with("/nix-cache-info") {
                    return respond(stream, 200, &[], b"StoreDir: /nix/store\n");
                }
                respond(stream, 302, &[("Location", &to)], b"")
            });
            let said = asked(&outside, http_options());
            assert_eq!(inside.seen().len(), 0);
            said
        }),
    });
    faults.push(Fault {
        name: "a redirect that asks for the credentials",
        wanted: "present: no credentials",
        meet: Box::new(|| {
            let other = Server::start(|seen, stream| {
                let found = seen.header("authorization").is_some();
                let said: &[u8] = if found { b"got them" } else { b"no credentials" };
                respond(stream, 200, &[], said)
            });
            let to = other.url("/x").to_string();
            let first = cache_server(move |seen, stream| {
                assert!(seen.header("authorization").is_some());
                respond(stream, 302, &[("Location", &to)], b"")
            });
            let mut url = first.url("");
            url.set_username("me").unwrap();
            url.set_password(Some("hunter2")).unwrap();
            let cache = nix_verify::gather::cache::CacheUrl::parse(url.as_str()).unwrap();
            match client(http_options()).narinfo(&cache, &path()) {
                NarInfoAnswer::Present(bytes) => {
                    format!("present: {}", String::from_utf8_lossy(&bytes))
                }
                other => format!("{other:?}"),
            }
        }),
    });
    faults
}

fn encodings() -> Vec<Fault> {
    vec![
        fault("a content-encoding bomb of gzip", "longer than", |_, stream| {
            respond(stream, 200, &[("Content-Encoding", "gzip")], &GZIP_BOMB[..900_000])
        }),
        fault("a content-encoding bomb of zstd", "longer than", |_, stream| {
            respond(stream, 200, &[("Content-Encoding", "zstd")], &ZSTD_BOMB)
        }),
        fault("an encoding that nobody knows", "content encoding 'compress'", |_, stream| {
            respond(stream, 200, &[("Content-Encoding", "compress")], b"xx")
        }),
        fault("two encodings", "content encoding 'gzip, gzip'", |_, stream| {
            respond(stream, 200, &[("Content-Encoding", "gzip, gzip")], b"xx")
        }),
        fault("two headers of encodings", "content encoding 'gzip'", |_, stream| {
            let twice = [("Content-Encoding", "gzip"), ("Content-Encoding", "gzip")];
            respond(stream, 200, &twice, b"xx")
        }),
        fault("an encoding that lies", "the body does not decode", |_, stream| {
            respond(stream, 200, &[("Content-Encoding", "gzip")], b"this is not gzip")
        }),
        fault("an encoded body that is cut", "stream is cut off", |_, stream| {
            let whole = gzip_of(&[b'x'; 5000][..]);
            respond(stream, 200, &[("Content-Encoding", "gzip")], &whole[..whole.len() - 9])
        }),
    ]
}

fn tls() -> Vec<Fault> {
    let certified = |names: &'static [&'static str], expired: bool, known: bool| {
        move || {
            let (authority, other) = (Authority::new(), Authority::new());
            let config = authority.server(names, expired);
            let server = Server::start_at(Ipv4Addr::LOCALHOST, Some(config), |_, stream| {
                respond(stream, 200, &[], b"StoreDir: /nix/store\n")
            });
            let trusted = if known { authority.pem } else { other.pem };
            let ca_certificates = Some(trusted.into_bytes());
            asked(&server, HttpOptions { ca_certificates, ..http_options() })
        }
    };
    vec![
        Fault {
            name: "TLS: a certificate that has expired",
            wanted: "xpired",
            meet: Box::new(certified(&["127.0.0.1"], true, true)),
        },
        Fault {
            name: "TLS: a certificate of another host",
            wanted: "not valid for name",
            meet: Box::new(certified(&["other.example"], false, true)),
        },
        Fault {
            name: "TLS: an authority that nobody trusts",
            wanted: "BadSignature",
            meet: Box::new(certified(&["127.0.0.1"], false, false)),
        },
        Fault {
            name: "TLS: a server that speaks none",
            wanted: "the TLS connection is not trusted",
            meet: Box::new(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = listener.local_addr().unwrap();
                // The thread ends with the test process.
                std::thread::spawn(move || {
                    for stream in listener.incoming().flatten() {
                        let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                        let _ = io::copy(&mut &stream, &mut io::sink());
                    }
                });
                let url = format!("https://{}", address);
                let cache = nix_verify::gather::cache::CacheUrl::parse(&url).unwrap();
                match client(http_options()).narinfo(&cache, &path()) {
                    NarInfoAnswer::Unreachable(why) => why.detail,
                    other => format!("{other:?}"),
                }
            }),
        },
    ]
}

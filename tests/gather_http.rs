//! The HTTP client against a server that misbehaves: each fault ends in time
//! and with its own reason.

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

use std::io::{self, Read};
use std::time::{Duration, Instant, SystemTime};

use gather_support::{Authority, PUBLIC, Server, client, impatient, options, reset, respond};
use nix_verify::gather::http::credentials::{Credentials, Secret};
use nix_verify::gather::http::proxy::Proxies;
use nix_verify::gather::http::url_guard::{AddressClass, GuardError, Zone};
use nix_verify::gather::http::{Answer, Failure, HttpClient, HttpError, HttpOptions, Request};

/// A cap that no honest answer here reaches.
const CAP: u64 = 1 << 16;

fn small(client: &HttpClient, server: &Server, path: &str) -> Result<Answer<Vec<u8>>, HttpError> {
    client.small(&Request::named(server.url(path)), CAP)
}

fn found(answer: Result<Answer<Vec<u8>>, HttpError>) -> Vec<u8> {
    match answer {
        Ok(Answer::Found(body)) => body,
        other => panic!("no answer: {other:?}"),
    }
}

fn failure(answer: Result<Answer<Vec<u8>>, HttpError>) -> (Failure, u32) {
    match answer {
        Err(error) => (error.failure, error.tries),
        other => panic!("an answer: {other:?}"),
    }
}

/// Fails the test if `action` takes longer.
fn within<T>(limit: Duration, action: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = action();
    assert!(begin.elapsed() < limit, "took {:?}", begin.elapsed());
    result
}

#[test]
fn ordinary_answers_share_a_connection() {
    let server = Server::start(|seen, stream| match seen.target.as_str() {
        "/absent" => respond(stream, 404, &[], b"no"),
        "/gone" => respond(stream, 410, &[], b"no"),
        "/forbidden" => respond(stream, 403, &[("X-Amz-Request-Id", "1")], b"no"),
        target => respond(stream, 200, &[], target.as_bytes()),
    });
    let client = client();
    for index in 0..20 {
        let path = format!("/{index}");
        assert_eq!(found(small(&client, &server, &path)), path.as_bytes());
    }
    assert_eq!(server.connections(), 1, "kept alive");
    let agent = concat!("nix-verify/", env!("CARGO_PKG_VERSION"));
    assert_eq!(server.seen()[0].header("user-agent"), Some(agent));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    assert!(matches!(small(&client, &server, "/absent"), Ok(Answer::Absent)));
    assert!(matches!(small(&client, &server, "/gone"), Ok(Answer::Absent)));
    assert!(matches!(small(&client, &server, "/forbidden"), Ok(Answer::Forbidden)));
}

#[test]
fn refusals_are_not_repeated() {
    let server = Server::start(|seen, stream| {
        let status = seen.target.trim_start_matches('/').parse().unwrap();
        respond(stream, status, &[], b"")
    });
    let client = client();
    for status in [401, 407] {
        let answer = small(&client, &server, &format!("/{status}"));
        assert_eq!(failure(answer), (Failure::Unauthorized(status), 1));
    }
    let answer = small(&client, &server, "/403");
    assert_eq!(failure(answer), (Failure::Forbidden, 1), "not by a storage, which would say so");
    for status in [204, 206, 304, 400, 405, 418, 501, 505] {
        let answer = small(&client, &server, &format!("/{status}"));
        assert_eq!(failure(answer), (Failure::Status { status, retry_after: None }, 1));
    }
    for status in [408, 429, 500, 502, 503, 504] {
        let answer = small(&client, &server, &format!("/{status}"));
        assert_eq!(failure(answer), (Failure::Status { status, retry_after: None }, 5));
    }
}

#[test]
fn a_burst_of_errors_is_survived() {
    let server = Server::start(|seen, stream| match seen.index {
        0 => respond(stream, 500, &[], b""),
        1 => reset(),
        2 => respond(stream, 503, &[], b""),
        3 => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
            reset()
        }
        _ => respond(stream, 200, &[], b"whole"),
    });
    assert_eq!(found(small(&client(), &server, "/")), b"whole");
    assert_eq!(server.seen().len(), 5);
}

#[test]
fn retry_after_is_heeded_in_both_forms_and_capped() {
    let server = Server::start(|seen, stream| match (seen.target.as_str(), seen.index % 2) {
        (_, 1) => respond(stream, 200, &[], b"ok"),
        ("/seconds", _) => respond(stream, 429, &[("Retry-After", "3600")], b""),
        _ => {
            let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
            respond(stream, 503, &[("Retry-After", &date)], b"")
        }
    });
    for path in ["/seconds", "/date"] {
        let begin = Instant::now();
        assert_eq!(found(small(&client(), &server, path)), b"ok");
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(2), "{took:?}");
    }
}

#[test]
fn silence_and_slowness_end_in_time() {
    let server = Server::start(|seen, stream| match seen.target.as_str() {
        "/silent" => {
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }
        "/head" => loop {
            stream.write_all(b"H")?;
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(100));
        },
        "/stalls" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
            stream.flush()?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }
        _ => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")?;
            for _ in 0..1000 {
                stream.write_all(b"x")?;
                stream.flush()?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
    });
    let mut options = options();
    options.patience.tries = 2;
    let client = HttpClient::new(options);
    let idle = impatient().idle;
    for path in ["/silent", "/stalls"] {
        let answer = within(Duration::from_secs(5), || small(&client, &server, path));
        assert_eq!(failure(answer), (Failure::Idle(idle), 2), "{path}");
    }
    // One byte now and then: nothing of HTTP within the idle deadline.
    let answer = within(Duration::from_secs(5), || small(&client, &server, "/head"));
    assert!(matches!(failure(answer).0, Failure::Idle(_) | Failure::Broken(_)));
    let answer = within(Duration::from_secs(9), || small(&client, &server, "/drips"));
    assert_eq!(failure(answer), (Failure::Slow(impatient().small_total), 2));
    // A large file may take longer, but not for ever either.
    let (error, _) = within(Duration::from_secs(9), || large(&client, &server, "/drips"));
    assert!(matches!(error.unwrap().failure, Failure::Slow(_)));
}

/// Reads a large file to its end.
fn large(client: &HttpClient, server: &Server, path: &str) -> (Option<HttpError>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut body = match client.large(&Request::named(server.url(path)), CAP) {
        Ok(Answer::Found(body)) => body,
        Ok(other) => panic!("{other:?}"),
        Err(error) => return (Some(error), bytes),
    };
    let error = body.read_to_end(&mut bytes).err();
    (error.map(|error| HttpError::of(&error).cloned().unwrap()), bytes)
}

#[test]
fn lengths_that_are_wrong_are_noticed() {
    let server = Server::start(|seen, stream| {
        match seen.target.as_str() {
            "/short" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")?;
            }
            "/long" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhalf and more")?;
            }
            "/two" => {
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf!",
                )?;
            }
            "/minus" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nhalf")?;
            }
            "/chunk" => {
                stream.write_all(
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
                )?;
            }
            "/announced" => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")?;
            }
            _ => {
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
                loop {
                    stream.write_all(b"400\r\n")?;
                    stream.write_all(&[b'x'; 0x400])?;
                    stream.write_all(b"\r\n")?;
                }
            }
        }
        // An orderly end: nothing more comes.
        Err(io::ErrorKind::Other.into())
    });
    let client = client();
    for path in ["/short", "/minus", "/two", "/chunk"] {
        let (failure, _) = failure(small(&client, &server, path));
        assert!(matches!(failure, Failure::Broken(_)), "{path}: {failure}");
    }
    assert_eq!(found(small(&client, &server, "/long")), b"half");
    for path in ["/announced", "/endless"] {
        let answer = within(Duration::from_secs(5), || small(&client, &server, path));
        assert_eq!(failure(answer), (Failure::TooLong(CAP), 1), "{path}");
        let (error, bytes) = within(Duration::from_secs(5), || large(&client, &server, path));
        assert_eq!(error.unwrap().failure, Failure::TooLong(CAP), "{path}");
        assert!(bytes.len() <= usize::try_from(CAP).unwrap());
    }
}

#[test]
fn what_is_not_http_is_no_answer() {
    let server = Server::start(|seen, stream| {
        match seen.target.as_str() {
            "/garbage" => stream.write_all(&[0xff; 100])?,
            "/ssh" => stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")?,
            _ => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
                for index in 0..100_000 {
                    write!(stream, "X-{index}: {}\r\n", "x".repeat(100))?;
                }
            }
        }
        reset()
    });
    let client = client();
    for path in ["/garbage", "/ssh", "/headers"] {
        let (failure, _) = failure(small(&client, &server, path));
        assert!(matches!(failure, Failure::Broken(_)), "{path}: {failure}");
    }
}

#[test]
fn a_broken_large_file_goes_on_where_it_can() {
    let content: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).take(60_000).collect();
    let served = content.clone();
    let server = Server::start(move |seen, stream| {
        let tag = match seen.target.as_str() {
            "/resumes" | "/ignores" => Some("\"v1\"".to_owned()),
            "/changes" => Some(format!("\"v{}\"", seen.index)),
            "/weak" => Some("W/\"v1\"".to_owned()),
            _ => None,
        };
        let tag = tag.map(|tag| format!("Accept-Ranges: bytes\r\nETag: {tag}\r\n"));
        let tag = tag.unwrap_or_default();
        let total = served.len();
        let range = seen
            .header("range")
            .and_then(|range| range.strip_prefix("bytes="))
            .and_then(|range| range.trim_end_matches('-').parse::<usize>().ok());
        if let (Some(from), "/resumes") = (range, seen.target.as_str()) {
            assert_eq!(seen.header("if-range"), Some("\"v1\""));
            write!(
                stream,
                "HTTP/1.1 206 X\r\n{tag}Content-Length: {}\r\nContent-Range: bytes {from}-{}/{total}\r\n\r\n",
                total - from,
                total - 1
            )?;
            let upto = (from + 20_000).min(total);
            stream.write_all(&served[from..upto])?;
            stream.flush()?;
            if upto == total {
                return Ok(());
            }
        } else {
            let whole = seen.target == "/again" && seen.index % 2 == 1;
            let upto = if whole { total } else { 20_000 };
            write!(stream, "HTTP/1.1 200 X\r\n{tag}Content-Length: {total}\r\n\r\n")?;
            stream.write_all(&served[..upto])?;
            stream.flush()?;
            if whole {
                return Ok(());
            }
        }
        // What was sent arrives before the reset does.
        std::thread::sleep(Duration::from_millis(100));
        reset()
    });
    let client = client();
    for path in ["/again", "/resumes"] {
        let (error, bytes) = large(&client, &server, path);
        assert!(error.is_none(), "{error:?}");
        assert!(bytes == content);
    }
    for path in ["/plain", "/ignores", "/changes", "/weak"] {
        let (error, bytes) = large(&client, &server, path);
        let error = error.unwrap();
        assert!(matches!(error.failure, Failure::Broken(_)), "{path}: {error}");
        assert!(content.starts_with(&bytes));
    }
}

#[test]
fn encodings_are_undone_only_on_request_and_within_bounds() {
    let zip = |size: u64| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::copy(&mut io::repeat(b'x').take(size), &mut encoder).unwrap();
        encoder.finish().unwrap()
    };
    let (little, bomb) = (zip(100), zip(40 << 20));
    let server = Server::start(move |seen, stream| match seen.target.as_str() {
        "/gzip" => respond(stream, 200, &[("Content-Encoding", "gzip")], &little),
        "/bomb" => respond(stream, 200, &[("Content-Encoding", "gzip")], &bomb),
        "/cut" => respond(stream, 200, &[("Content-Encoding", "gzip")], &little[..20]),
        "/twice" => respond(stream, 200, &[("Content-Encoding", "gzip, gzip")], &little),
        "/odd" => respond(stream, 200, &[("Content-Encoding", "rot13")], b"uryyb"),
        _ => respond(stream, 200, &[("Content-Encoding", "identity")], b"plain"),
    });
    let client = client();
    let asked = |path: &str| {
        let mut request = Request::named(server.url(path));
        request.decode = true;
        client.small(&request, CAP)
    };
    assert_eq!(found(small(&client, &server, "/identity")), b"plain");
    assert_eq!(
        failure(small(&client, &server, "/gzip")),
        (Failure::Encoding("gzip".to_owned()), 1)
    );
    assert_eq!(found(asked("/gzip")), vec![b'x'; 100]);
    assert_eq!(failure(asked("/bomb")), (Failure::TooLong(CAP), 1));
    assert!(matches!(failure(asked("/cut")), (Failure::Decode(_), 1)));
    assert_eq!(failure(asked("/twice")), (Failure::Encoding("gzip, gzip".to_owned()), 1));
    assert_eq!(failure(asked("/odd")), (Failure::Encoding("rot13".to_owned()), 1));
    let (error, _) = large(&client, &server, "/gzip");
    assert_eq!(error.unwrap().failure, Failure::Encoding("gzip".to_owned()));
}

#[test]
fn redirects_are_followed_so_far_and_no_further() {
    let server = Server::start(|seen, stream| match seen.target.as_str() {
        "/loop" => respond(stream, 302, &[("Location", "/loop")], b""),
        "/none" => respond(stream, 302, &[], b""),
        "/bad" => respond(stream, 302, &[("Location", "http://[::1")], b""),
        "/end" => respond(stream, 200, &[], b"end"),
        target => {
            let left: u32 = target.trim_start_matches('/').parse().unwrap();
            let next = if left == 1 { "end".to_owned() } else { (left - 1).to_string() };
            respond(stream, 307, &[("Location", &next)], b"")
        }
    });
    let client = client();
    assert_eq!(found(small(&client, &server, "/10")), b"end");
    for path in ["/11", "/loop"] {
        assert_eq!(failure(small(&client, &server, path)), (Failure::Redirects(10), 1));
    }
    for path in ["/none", "/bad"] {
        assert_eq!(failure(small(&client, &server, path)), (Failure::RedirectTarget, 1));
    }
}

#[test]
fn no_redirect_leads_from_the_public_network_inwards() {
    let inside = Server::start(|_, stream| respond(stream, 200, &[], b"secret"));
    let port = inside.address.port();
    let outside = Server::start_at(PUBLIC, None, move |seen, stream| {
        let target = seen.target.split_once("to=").map_or("/", |(_, target)| target);
        respond(stream, 302, &[("Location", &target.replace("PORT", &port.to_string()))], b"")
    });
    let client = client();
    for target in [
        "http://127.0.0.1:PORT/",
        "http://localhost:PORT/",
        "http://127.1:PORT/",
        "http://2130706433:PORT/",
        "http://0x7f000001:PORT/",
        "http://0:PORT/",
        "http://0.0.0.0:PORT/",
        "http://[::1]:PORT/",
        "http://[::]:PORT/",
        "http://[::ffff:127.0.0.1]:PORT/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "//127.0.0.1:PORT/",
    ] {
        let answer = small(&client, &outside, &format!("/?to={target}"));
        let (failure, tries) = failure(answer);
        assert!(
            matches!(&failure, Failure::Guard(GuardError::Address { .. })),
            "{target}: {failure}"
        );
        assert_eq!(tries, 1);
    }
    for target in ["file:///etc/passwd", "ftp://example.org/", "data:text/plain,x", "gopher://x/"] {
        let (failure, _) = failure(small(&client, &outside, &format!("/?to={target}")));
        assert!(matches!(&failure, Failure::Guard(GuardError::Scheme(_))), "{target}: {failure}");
    }
    assert!(inside.seen().is_empty(), "something came through");

    // A URL that the user did not name starts outside.
    let request = Request { zone: Zone::FOREIGN, ..Request::named(inside.url("/")) };
    let (refused, _) = failure(client.small(&request, CAP));
    assert!(matches!(
        refused,
        Failure::Guard(GuardError::Address { class: AddressClass::Loopback, .. })
    ));
    assert!(inside.seen().is_empty());

    // What the user did name may be private, and may lead outside.
    assert_eq!(found(small(&client, &inside, "/")), b"secret");
}

#[test]
fn a_private_cache_may_lead_to_the_public_network() {
    let outside = Server::start_at(PUBLIC, None, |_, stream| respond(stream, 200, &[], b"nar"));
    let target = outside.url("/nar").to_string();
    let inside =
        Server::start(move |_, stream| respond(stream, 302, &[("Location", &target)], b""));
    assert_eq!(found(small(&client(), &inside, "/")), b"nar");
}

#[test]
fn credentials_stay_with_their_origin() {
    let other = Server::start(|_, stream| respond(stream, 200, &[], b"other"));
    let target = other.url("/stolen").to_string();
    let server = Server::start(move |seen, stream| match seen.target.as_str() {
        "/same" => respond(stream, 302, &[("Location", "/end")], b""),
        "/away" => respond(stream, 302, &[("Location", &target)], b""),
        _ => respond(stream, 200, &[], b"end"),
    });
    let client = client();
    let with = |path: &str, credentials: Credentials| {
        let mut request = Request::named(server.url(path));
        request.credentials = Some(credentials);
        found(client.small(&request, CAP))
    };
    let basic =
        || Credentials::Basic { login: "me".to_owned(), password: Secret::new("pass".to_owned()) };
    assert_eq!(with("/same", basic()), b"end");
    assert_eq!(with("/away", basic()), b"other");
    let bearer = Credentials::Bearer(Secret::new("token".to_owned()));
    assert_eq!(with("/end", bearer), b"end");
    let seen = server.seen();
    for request in &seen[..3] {
        // The head is kept in lower case.
        assert_eq!(request.header("authorization"), Some("basic bwu6cgfzcw=="));
    }
    assert_eq!(seen[3].header("authorization"), Some("bearer token"));
    assert_eq!(other.seen().len(), 1);
    assert_eq!(other.seen()[0].header("authorization"), None);
    assert_eq!(other.seen()[0].header("referer"), None);
}

#[test]
fn servers_are_who_they_say() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let own = HttpClient::new(HttpOptions {
        ca_certificates: Some(authority.pem.clone().into_bytes()),
        ..options()
    });
    let serve = |authority: &Authority, names: &[&str], expired| {
        let tls = Some(authority.server(names, expired));
        Server::start_at(std::net::Ipv4Addr::LOCALHOST, tls, |_, stream| {
            respond(stream, 200, &[], b"tls")
        })
    };
    let right = serve(&authority, &["127.0.0.1"], false);
    assert_eq!(found(small(&own, &right, "/")), b"tls");
    for (why, client, server) in [
        ("no own authority", &client(), &right),
        ("expired", &own, &serve(&authority, &["127.0.0.1"], true)),
        ("wrong host", &own, &serve(&authority, &["127.0.0.2", "example.org"], false)),
        ("unknown issuer", &own, &serve(&stranger, &["127.0.0.1"], false)),
    ] {
        let (failure, tries) = failure(small(client, server, "/"));
        assert!(matches!(failure, Failure::Tls(_)), "{why}: {failure:?}");
        assert_eq!(tries, 1, "{why}");
        if why != "no own authority" {
            assert!(server.seen().is_empty(), "{why}");
        }
    }
}

#[test]
fn tls_to_what_speaks_none_ends() {
    let plain = Server::start(|_, stream| respond(stream, 200, &[], b"plain"));
    let mut url = plain.url("/");
    url.set_scheme("https").unwrap();
    let mut options = options();
    options.patience.tries = 2;
    let client = HttpClient::new(options);
    let answer = within(Duration::from_secs(10), || client.small(&Request::named(url), CAP));
    let (failure, _) = failure(answer);
    assert!(
        matches!(failure, Failure::Idle(_) | Failure::Connect(_) | Failure::Tls(_)),
        "{failure:?}"
    );
}

#[test]
fn nobody_there_is_said() {
    let client = client();
    let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = url::Url::parse(&format!("http://{refused}/")).unwrap();
    let (failed, tries) = failure(client.small(&Request::named(url), CAP));
    assert!(matches!(failed, Failure::Connect(_)), "{failed:?}");
    assert_eq!(tries, 5);
    let url = url::Url::parse("http://cache.invalid/").unwrap();
    let (failed, _) = failure(client.small(&Request::named(url), CAP));
    assert!(
        matches!(&failed, Failure::Resolve { host, .. } if host == "cache.invalid"),
        "{failed:?}"
    );
    let url = url::Url::parse("file:///etc/passwd").unwrap();
    let (failed, _) = failure(client.small(&Request::named(url), CAP));
    assert!(matches!(failed, Failure::Guard(GuardError::Scheme(_))), "{failed:?}");
    let offline = HttpClient::new(HttpOptions { offline: true, ..options() });
    let url = url::Url::parse("http://127.0.0.1/").unwrap();
    assert_eq!(failure(offline.small(&Request::named(url), CAP)), (Failure::Offline, 1));
}

#[test]
fn proxies_are_used_and_do_not_open_doors() {
    let proxy = Server::start(|_, stream| respond(stream, 200, &[], b"by proxy"));
    let at = proxy.address.to_string();
    let proxies = Proxies::parse(|name| match name {
        "http_proxy" => Some(format!("http://user:pass@{at}/")),
        "no_proxy" => Some("direct.invalid".to_owned()),
        _ => None,
    })
    .unwrap();
    let client = HttpClient::new(HttpOptions { proxies, ..options() });
    let get = |url: &str, zone: Zone| {
        let url = url::Url::parse(url).unwrap();
        client.small(&Request { zone, ..Request::named(url) }, CAP)
    };
    assert_eq!(found(get("http://cache.invalid/a", Zone::Named)), b"by proxy");
    assert_eq!(found(get("http://source.invalid/b", Zone::FOREIGN)), b"by proxy");
    assert_eq!(proxy.seen()[0].target, "http://cache.invalid/a");
    assert_eq!(proxy.seen()[0].header("proxy-authorization"), Some("basic dxnlcjpwyxnz"));
    for url in ["http://127.0.0.1/", "http://localhost/", "http://169.254.169.254/"] {
        let (failure, _) = failure(get(url, Zone::FOREIGN));
        assert!(matches!(failure, Failure::Guard(_)), "{url}: {failure}");
    }
    let (failure, _) = failure(get("http://direct.invalid/", Zone::Named));
    assert!(matches!(failure, Failure::Resolve { .. }), "{failure}");
    assert_eq!(proxy.seen().len(), 2);
}

#[test]
fn many_threads_share_one_client() {
    let server = Server::start(|seen, stream| respond(stream, 200, &[], seen.target.as_bytes()));
    let client = client();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let (client, server) = (&client, &server);
            scope.spawn(move || {
                for index in 0..50 {
                    let path = format!("/{thread}/{index}");
                    assert_eq!(found(small(client, server, &path)), path.as_bytes());
                }
            });
        }
    });
    assert_eq!(server.seen().len(), 800);
    assert!(server.connections() <= 40, "{} connections", server.connections());
}

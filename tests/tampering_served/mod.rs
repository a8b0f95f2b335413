//! The same lies and failures from a server, for what only a server can do:
//! break off, dawdle, refuse, answer with too much.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::gather_support::{Seen, Server, Stream, reset, respond};
use super::{Cache, Outcome};

/// What is attacked: one file of the cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    /// The claim about the output.
    Claim,
    /// The narinfo of the only input.
    Input,
    /// The NAR of the only input.
    Nar,
}

/// What happens to it.
type Fault = fn(&[u8], &mut dyn Stream) -> io::Result<()>;

fn status<const CODE: u16>(_: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    respond(stream, CODE, &[], b"no\n")
}

/// Fewer bytes than announced, then an orderly end.
fn truncated(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    let head =
        format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body[..body.len() / 2])?;
    stream.flush()?;
    reset()
}

/// The announced length is that of half the body.
fn shortened(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    respond(stream, 200, &[], &body[..body.len() / 2])
}

fn reset_at_once(_: &[u8], _: &mut dyn Stream) -> io::Result<()> {
    reset()
}

/// More than any such file has, with an honest length.
fn over_long(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    let mut all = body.to_vec();
    all.resize(40 << 20, b'x');
    respond(stream, 200, &[], &all)
}

/// The same without saying so beforehand, and without an end.
fn endless(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
    stream.write_all(body)?;
    loop {
        stream.write_all(&[b'x'; 65536])?;
    }
}

fn web_page(_: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    respond(stream, 200, &[("Content-Type", "text/html")], b"<html>Please sign in</html>\n")
}

fn empty(_: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    respond(stream, 200, &[], b"")
}

fn flipped(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    let mut other = body.to_vec();
    let middle = other.len() / 2;
    other[middle] ^= 0x10;
    respond(stream, 200, &[], &other)
}

/// A byte in a while, for ever.
fn slow(body: &[u8], stream: &mut dyn Stream) -> io::Result<()> {
    let head = format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    for byte in body {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        std::thread::sleep(Duration::from_secs(7));
    }
    Ok(())
}

fn silent(_: &[u8], _: &mut dyn Stream) -> io::Result<()> {
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}

/// Serves the cache with one file of it attacked.
fn served(at: At, fault: Fault) -> Outcome {
    let cache = Cache::new();
    let directory = cache.directory();
    let attacked: PathBuf = match at {
        At::Claim => cache.narinfo("greeting-1.0"),
        At::Input => cache.narinfo("quickstart-builder"),
        At::Nar => cache.nar("quickstart-builder"),
    };
    let server = Server::start(move |seen: &Seen, stream: &mut dyn Stream| {
        let file = directory.join(seen.target.trim_start_matches('/'));
        match std::fs::read(&file) {
            Ok(body) if file == attacked => fault(&body, stream),
            Ok(body) => respond(stream, 200, &[], &body),
            Err(_) => respond(stream, 404, &[], b""),
        }
    });
    let url = server.url("");
    cache.verdict_of(url.as_str().trim_end_matches('/'), &[])
}

/// What has to come of a fault: the exit code, a rule or reason, and words that
/// say what was wrong.
struct Case {
    at: At,
    what: &'static str,
    fault: Fault,
    code: i32,
    named: &'static str,
    said: &'static str,
}

fn case(
    at: At,
    what: &'static str,
    fault: Fault,
    code: i32,
    named: &'static str,
    said: &'static str,
) -> Case {
    Case { at, what, fault, code, named, said }
}

fn check(cases: &[Case]) {
    std::thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| {
                let Case { at, what, fault, code, named, said } = case;
                let outcome = served(*at, *fault);
                let text = outcome.report.to_string();
                let shown = format!("{at:?} {what}: {:#}", outcome.report);
                assert_eq!(outcome.code, *code, "{shown}");
                let words = [&outcome.rules[..], &outcome.reasons()[..]].concat();
                assert!(words.iter().any(|word| word == named), "no {named} in {shown}");
                assert!(text.contains(said), "no '{said}' in {shown}");
                // The output whose claim is attacked, or both if the input is.
                let reproduced = outcome.statuses.iter().filter(|word| *word == "reproduced");
                let most = usize::from(*at == At::Claim);
                assert!(reproduced.count() <= most, "{shown}");
            });
        }
    });
}

#[test]
fn served_untouched_it_passes() {
    let outcome = served(At::Claim, |body, stream| respond(stream, 200, &[], body));
    assert_eq!(outcome.code, 0, "{:#}", outcome.report);
}

#[test]
fn a_claim_that_does_not_arrive_or_is_another_is_named() {
    use At::Claim;
    check(&[
        case(Claim, "refused", status::<403>, 3, "no-reference", ""),
        case(Claim, "absent", status::<404>, 3, "no-reference", ""),
        case(Claim, "gone", status::<410>, 3, "no-reference", ""),
        case(Claim, "failing", status::<500>, 3, "unreachable", "500"),
        case(Claim, "overloaded", status::<503>, 3, "unreachable", "503"),
        case(Claim, "reset", reset_at_once, 3, "unreachable", ""),
        case(Claim, "truncated", truncated, 3, "unreachable", ""),
        case(Claim, "over-long", over_long, 3, "unreachable", ""),
        case(Claim, "endless", endless, 3, "unreachable", ""),
        case(Claim, "web page", web_page, 1, "malformed-narinfo", "line"),
        case(Claim, "empty", empty, 1, "malformed-narinfo", ""),
        case(Claim, "shortened", shortened, 1, "malformed-narinfo", ""),
    ]);
}

#[test]
fn an_input_that_does_not_arrive_or_is_another_is_named() {
    use At::{Input, Nar};
    check(&[
        case(Input, "absent", status::<404>, 3, "input-missing", "does not have it"),
        case(Input, "overloaded", status::<503>, 3, "input-missing", "503"),
        case(Input, "reset", reset_at_once, 3, "input-missing", "does not answer"),
        case(Input, "web page", web_page, 1, "malformed-narinfo", ""),
        case(Nar, "absent", status::<404>, 3, "input-missing", "although its narinfo says so"),
        case(Nar, "overloaded", status::<503>, 3, "input-missing", "503"),
        case(Nar, "reset", reset_at_once, 3, "input-missing", ""),
        case(Nar, "truncated", truncated, 3, "input-missing", ""),
        case(Nar, "shortened", shortened, 1, "nar-mismatch", ""),
        case(Nar, "over-long", over_long, 3, "input-missing", "the body is longer than"),
        case(Nar, "endless", endless, 1, "nar-mismatch", "longer than"),
        case(Nar, "web page", web_page, 1, "nar-mismatch", ""),
        case(Nar, "empty", empty, 1, "nar-mismatch", ""),
        case(Nar, "flipped", flipped, 1, "nar-mismatch", ""),
    ]);
}

#[test]
#[ignore = "waits out every deadline: some minutes"]
fn servers_that_dawdle_are_waited_for_only_so_long() {
    use At::{Claim, Input, Nar};
    check(&[
        case(Claim, "slow", slow, 3, "unreachable", ""),
        case(Claim, "silent", silent, 3, "unreachable", ""),
        case(Input, "slow", slow, 3, "input-missing", ""),
        case(Nar, "slow", slow, 3, "input-missing", ""),
        case(Nar, "silent", silent, 3, "input-missing", ""),
    ]);
}

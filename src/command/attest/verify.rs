//! `verify attest verify`: whose statements these are, what they say, and
//! whether enough agree.

use std::path::Path;

use super::args::{PredicateName, VerifyArgs};
use crate::attest::judge::{Asked, judge};
use crate::attest::pool::{Kind, Line, Pool, Trust};
use crate::attest::rebuild::ObjectPath;
use crate::attest::statement::Digest;
use crate::command::deliver::show;
use crate::command::sources::operators_and_keys;
use crate::command::{Environment, ToolError};
use crate::gather::named::input;
use crate::gather::named::keys;
use crate::nix::hash::NarHash;
use crate::nix::json::MAX_LEN;
use crate::nix::signature::{SignatureError, TrustedKeys};
use crate::nix::store_path::StoreDir;
use crate::report::Report;
use crate::report::attest::verified;

/// Most envelopes that are read: each holds a whole report, and all of nixpkgs
/// has that many packages.
const MAX_ENVELOPES: usize = 100_000;

/// Checks attestations.
///
/// # Errors
/// Files and keys that cannot be read, and a question that makes no sense.
pub fn run(args: &VerifyArgs, environment: &Environment) -> Result<Report, ToolError> {
    let (operators, mut trusted) = operators_and_keys(&args.keys, environment)?;
    add_pems(&args.trusted_pems, &mut trusted, environment)?;
    let trust = Trust { keys: &trusted, operators: &operators };
    let min_agree = args.min_agree.get();
    if min_agree > 1 && min_agree > trust.witnesses() {
        return Err(ToolError::Usage(format!(
            "--min-agree {min_agree} can never be met: {} keys or operators are trusted",
            trust.witnesses()
        )));
    }
    let asked: Vec<Asked> = args
        .subjects
        .iter()
        .map(|text| asked(text, args.predicate.unwrap_or(PredicateName::Rebuild)))
        .collect::<Result<_, _>>()?;
    let files: Vec<(String, Vec<u8>)> = args
        .files
        .iter()
        .map(|file| {
            let bytes = input::read(&environment.absolute(file), MAX_LEN);
            let bytes = bytes.map_err(|error| ToolError::failed("read an attestation", error))?;
            if bytes.len() > MAX_LEN {
                return Err(ToolError::Usage(format!(
                    "'{}' is longer than {} MiB: name fewer attestations at a time",
                    show(file),
                    MAX_LEN >> 20
                )));
            }
            Ok((show(file), bytes))
        })
        .collect::<Result<_, _>>()?;
    let lines: Vec<Line<'_>> = files.iter().flat_map(|(name, bytes)| lines(name, bytes)).collect();
    if lines.len() > MAX_ENVELOPES {
        return Err(ToolError::Usage(format!(
            "{} envelopes are too many for one run (expected at most {MAX_ENVELOPES})",
            lines.len()
        )));
    }
    let pool = Pool::collect(lines, trust);
    let judgement = judge(&pool, &asked, min_agree);
    Ok(verified(&pool, judgement, trust, min_agree))
}

/// Adds the public keys of files in PEM, each maybe with a name before it.
pub fn add_pems(
    named: &[String],
    trusted: &mut TrustedKeys,
    environment: &Environment,
) -> Result<(), ToolError> {
    for text in named {
        let usage = |error: SignatureError| ToolError::Usage(format!("--trusted-pem: {error}"));
        let (name, file) = match text.split_once('=') {
            Some((name, file)) => (Some(name.parse().map_err(usage)?), file),
            None => (None, text.as_str()),
        };
        let key = keys::public_key(&environment.absolute(Path::new(file)), name)
            .map_err(|error| ToolError::failed("use a trusted key", error))?;
        trusted.insert(key).map_err(usage)?;
    }
    Ok(())
}

/// The envelopes of a file: one a line, and one at least. The last line need
/// not have an end.
pub fn lines<'a>(file: &'a str, bytes: &'a [u8]) -> Vec<Line<'a>> {
    let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let lines = whole.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.take(MAX_ENVELOPES.saturating_add(1));
    lines.map(|(at, bytes)| Line { file, number: at.saturating_add(1), bytes }).collect()
}

/// What a --subject asks about.
fn asked(text: &str, predicate: PredicateName) -> Result<Asked, ToolError> {
    let wrong = || {
        ToolError::Usage(format!(
            "--subject '{text}' is no store path, PATH=HASH or NAR hash (sha256:... or sha256-...)"
        ))
    };
    let kind = Some(match predicate {
        PredicateName::Rebuild => Kind::Rebuild,
        PredicateName::Vsa => Kind::Summary,
        PredicateName::Sbom => Kind::Bill,
    });
    let digest = |text: &str| NarHash::parse(text).ok().map(Digest::from);
    if let Some(digest) = digest(text) {
        return Ok(Asked { name: None, digest: Some(digest), kind });
    }
    let (path, hash) = match text.split_once('=') {
        Some((path, hash)) => (path, Some(digest(hash).ok_or_else(wrong)?)),
        None => (text, None),
    };
    let name = if path.contains('/') {
        ObjectPath::parse(path).ok_or_else(wrong)?.to_string()
    } else {
        StoreDir::default().full(&path.parse().map_err(|_| wrong())?)
    };
    Ok(Asked { name: Some(name), digest: hash, kind })
}

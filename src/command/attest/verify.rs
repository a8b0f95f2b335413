//! `verify attest verify`: whose statements these are, what they say, and
//! whether enough agree.

use super::args::{PredicateName, VerifyArgs};
use crate::attest::judge::{Asked, judge};
use crate::attest::pool::{Kind, Line, Pool, Trust};
use crate::attest::rebuild::ObjectPath;
use crate::attest::statement::Digest;
use crate::command::deliver::show;
use crate::command::{Environment, ToolError};
use crate::gather::named::input;
use crate::nix::hash::NarHash;
use crate::nix::json::MAX_LEN;
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
    let (operators, trusted) = args.trust.open(environment)?;
    let trust = Trust { keys: &trusted, operators: &operators };
    let min_agree = args.trust.min_agree(trust.witnesses())?;
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
    let files = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
    let pool = Pool::collect(lines(files)?, trust);
    let judgement = judge(&pool, &asked, min_agree);
    Ok(verified(&pool, judgement, trust, min_agree))
}

/// The envelopes of files: one a line, and one at least in each. The last line
/// need not have an end.
///
/// # Errors
/// There are too many: what is not read cannot speak against anything.
pub fn lines<'a>(
    files: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<Vec<Line<'a>>, ToolError> {
    let mut found = Vec::new();
    for (file, bytes) in files {
        let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        for (at, bytes) in whole.split(|byte| *byte == b'\n').enumerate() {
            if found.len() == MAX_ENVELOPES {
                return Err(ToolError::Usage(format!(
                    "there are more than {MAX_ENVELOPES} envelopes: name fewer at a time"
                )));
            }
            found.push(Line { file, number: at.saturating_add(1), bytes });
        }
    }
    Ok(found)
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

//! What a narinfo says, who signed it, and whether it can be right.

use super::rules::{URL_OUTSIDE_CACHE, WRONG_CONTENT_ADDRESS};
use super::{Answers, Inspected};
use crate::check::rebuild::rules::{
    FOREIGN_NARINFO, FORGED_SIGNATURE, MALFORMED_NARINFO, UNSORTED_REFERENCES,
};
use crate::check::{Finding, Reason};
use crate::nix::narinfo::{NarInfo, NarInfoError};
use crate::nix::signature::TrustedKeys;
use crate::nix::store_path::{StoreDir, StorePath};

/// The check of who signed it.
const SIGNED: &str = "signature by a trusted key";

/// What the narinfo should be about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This very path.
    Path(StorePath),
    /// A path with this hash part, as the file's name says.
    HashPart(String),
    /// Nobody said.
    Unknown,
}

/// What one signature turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureState {
    /// Bad under a trusted key.
    Bad,
    /// Good under a trusted key, but only over the references out of order.
    GoodAsWritten,
    /// By a key that is not trusted.
    UnknownKey,
    /// Good under a trusted key.
    Good,
}

impl SignatureState {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::GoodAsWritten => "good over unsorted references only",
            Self::UnknownKey => "unknown key",
            Self::Good => "good",
        }
    }
}

/// What a narinfo says.
#[derive(Debug, Clone)]
pub struct NarInfoFacts {
    /// Its fields.
    pub info: NarInfo,
    /// Key names with what their signatures turned out to be, worst first.
    pub signatures: Vec<(String, SignatureState)>,
    /// The text that is signed.
    pub fingerprint: String,
    /// Whether the content address gives the store path, if it has one.
    pub content_addressed: Option<bool>,
}

/// Whose signatures count.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The keys.
    pub keys: &'a TrustedKeys,
    /// Whether the user named them; else they are the published defaults, and
    /// nobody asked for a signature by one of them.
    pub named: bool,
}

/// Reads and judges a narinfo.
#[must_use]
pub fn inspect(
    subject: &str,
    bytes: &[u8],
    expected: &Expected,
    trust: Trust<'_>,
    store_dir: &StoreDir,
) -> Inspected<NarInfoFacts> {
    let mut answers = Answers::about(subject);
    let info = match NarInfo::parse(bytes, store_dir) {
        Ok(info) => info,
        Err(error) => {
            answers.fail(
                Finding::new(&MALFORMED_NARINFO, subject, error.to_string())
                    .with("byte offset", offset(&error, bytes)),
            );
            return Inspected { facts: None, answers };
        }
    };
    answers.pass();
    check_path(&mut answers, &info, expected, store_dir);
    match info.check_url() {
        Ok(_) => answers.pass(),
        Err(error) => {
            answers.fail(
                Finding::new(&URL_OUTSIDE_CACHE, subject, error.to_string())
                    .with("URL", info.url.as_written()),
            );
        }
    }
    let content_addressed = info.ca.as_ref().map(|_| info.is_content_addressed(store_dir));
    match (content_addressed, &info.ca) {
        (Some(true), _) => answers.pass(),
        (Some(false), Some(ca)) => answers.fail(
            Finding::new(
                &WRONG_CONTENT_ADDRESS,
                subject,
                "the content address and the references give another store path",
            )
            .with("StorePath", store_dir.full(&info.store_path))
            .with("CA", ca),
        ),
        _ => {}
    }
    let signatures =
        check_signatures(&mut answers, &info, content_addressed == Some(true), trust, store_dir);
    let fingerprint = info.path_info().fingerprint(store_dir);
    let facts = NarInfoFacts { info, signatures, fingerprint, content_addressed };
    Inspected { facts: Some(facts), answers }
}

fn check_path(answers: &mut Answers, info: &NarInfo, expected: &Expected, store_dir: &StoreDir) {
    let (right, asked) = match expected {
        Expected::Unknown => {
            answers.not_run("store path asked for", "ask with --store-path");
            return;
        }
        Expected::Path(path) => (info.store_path == *path, store_dir.full(path)),
        Expected::HashPart(hash_part) => {
            (info.store_path.hash_part() == *hash_part, format!("{store_dir}/{hash_part}-..."))
        }
    };
    if right {
        answers.pass();
    } else {
        answers.fail(
            Finding::new(
                &FOREIGN_NARINFO,
                answers.subject.clone(),
                "the narinfo is about another store path than the one asked for",
            )
            .with("asked for", asked)
            .with("StorePath", store_dir.full(&info.store_path)),
        );
    }
}

fn check_signatures(
    answers: &mut Answers,
    info: &NarInfo,
    content_addressed: bool,
    trust: Trust<'_>,
    store_dir: &StoreDir,
) -> Vec<(String, SignatureState)> {
    let report = info.verify(store_dir, trust.keys);
    let mut states: Vec<(String, SignatureState)> = Vec::new();
    let mut add = |name: &str, state| states.push((name.to_owned(), state));
    report.bad().iter().for_each(|one| add(one.key_name().as_str(), SignatureState::Bad));
    report
        .as_written_only()
        .iter()
        .for_each(|name| add(name.as_str(), SignatureState::GoodAsWritten));
    report.unknown().iter().for_each(|name| add(name.as_str(), SignatureState::UnknownKey));
    report.good().iter().for_each(|name| add(name.as_str(), SignatureState::Good));
    states.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    states.dedup();

    let subject = answers.subject.clone();
    for name in report.as_written_only() {
        answers.remark(
            Finding::new(
                &UNSORTED_REFERENCES,
                subject.as_str(),
                format!("the signature by '{name}' is good over the references in the order of the file and bad over the sorted set that Nix checks"),
            )
            .with("key", name),
        );
    }
    if !report.bad().is_empty() {
        answers.pass();
        for bad in report.bad() {
            answers.remark(
                Finding::new(
                    &FORGED_SIGNATURE,
                    subject.as_str(),
                    format!(
                        "the signature under the trusted key '{}' does not belong to what the narinfo says",
                        bad.key_name()
                    ),
                )
                .with("Sig", bad)
                .with("signed text would be", info.path_info().fingerprint(store_dir)),
            );
        }
    } else if report.verified().is_some() {
        answers.pass();
    } else if content_addressed {
        answers.not_run(SIGNED, "the store path is content-addressed and needs none");
    } else if !trust.named && report.as_written_only().is_empty() {
        answers.not_run(SIGNED, "name the key with --trusted-key");
    } else if report.as_written_only().is_empty() {
        answers.open(SIGNED, Reason::NoReference, "no trusted key has signed it");
    } else {
        answers.open(
            SIGNED,
            Reason::NoReference,
            "the only signatures by trusted keys are over unsorted references",
        );
    }
    states
}

/// Where in the file an error is: its line's first byte where it knows only
/// the line, the end where something is missing.
fn offset(error: &NarInfoError, bytes: &[u8]) -> usize {
    use NarInfoError as E;
    let line = match error {
        E::NotText { offset } | E::Control { offset, .. } => return *offset,
        E::TooLong(_)
        | E::NoLineFeed { .. }
        | E::Missing(_)
        | E::TooManySignatures
        | E::TooManyUnknownFields => return bytes.len(),
        E::OtherPath { .. } => return 0,
        E::CarriageReturn { line }
        | E::NotAField { line }
        | E::Doubled { line, .. }
        | E::LongValue { line, .. }
        | E::NotAscii { line, .. }
        | E::StorePath { line, .. }
        | E::Hash { line, .. }
        | E::Number { line, .. }
        | E::ZeroNarSize { line }
        | E::Compression { line, .. }
        | E::TooManyReferences { line, .. }
        | E::EmptyReference { line, .. }
        | E::DoubledReference { line, .. }
        | E::Signature { line, .. }
        | E::ContentAddress { line, .. } => *line,
    };
    let before = line.saturating_sub(1);
    bytes.split_inclusive(|byte| *byte == b'\n').take(before).map(<[u8]>::len).sum()
}

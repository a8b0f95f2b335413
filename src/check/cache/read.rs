//! A source's answer, read: a claim with what is odd about it, or a finding.
//!
//! The traps of genuine data are told apart here: references out of order are
//! named and neither forged nor good, another Deriver says nothing, hashes may
//! be written in any notation, and unsigned fields decide nothing.

use std::sync::Arc;

use super::facts::{Archive, CaFacts, CaProof, Content, SourceClaim};
use super::paths::PathTable;
use super::rules::{CONFLICTING_FIELDS, DOUBLED_FIELD, FOREIGN_STORE_DIRECTORY};
use crate::check::inspect::rules::{URL_OUTSIDE_CACHE, WRONG_CONTENT_ADDRESS};
use crate::check::rebuild::Standing;
use crate::check::rebuild::rules::{FOREIGN_NARINFO, MALFORMED_NARINFO, UNSORTED_REFERENCES};
use crate::check::{Finding, Level};
use crate::nix::compression::Compression;
use crate::nix::content_address::{ContentAddress, Method};
use crate::nix::hash::HashAlgorithm;
use crate::nix::narinfo::{NarInfo, NarInfoError};
use crate::nix::path_info::PathInfo;
use crate::nix::signature::{KeyName, Signature, TrustedKeys};
use crate::nix::store_path::{StoreDir, StorePath, StorePathError};

/// How NARs of each compression are commonly named.
const SUFFIXES: [(&str, Compression); 10] = [
    (".xz", Compression::Xz),
    (".bz2", Compression::Bzip2),
    (".bzip2", Compression::Bzip2),
    (".gz", Compression::Gzip),
    (".gzip", Compression::Gzip),
    (".zst", Compression::Zstd),
    (".zstd", Compression::Zstd),
    (".lz4", Compression::Lz4),
    (".lz", Compression::Lzip),
    (".br", Compression::Brotli),
];

/// A claim that is not in a [`PathTable`] yet.
#[derive(Debug, Clone)]
pub struct Reading {
    facts: PathInfo,
    standing: Standing,
    deriver: Option<StorePath>,
    ca: Option<CaFacts>,
    remarks: Vec<Finding>,
    archive: Option<Archive>,
}

/// What the database of a local store says about a path.
#[derive(Debug, Clone)]
pub struct LocalRecord {
    /// Path, hash, size and references.
    pub facts: PathInfo,
    /// The derivation it was made by.
    pub deriver: Option<StorePath>,
    /// Its signatures.
    pub signatures: Vec<Signature>,
    /// Its content address.
    pub ca: Option<ContentAddress>,
}

/// Whose signatures count, and for which store directory.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// The keys.
    pub keys: &'a TrustedKeys,
    /// The store directory.
    pub store_dir: &'a StoreDir,
}

/// Reads the narinfo that `source` served when it was asked for `asked`.
///
/// # Errors
/// A finding, if the answer is no narinfo of that path.
pub fn read_narinfo(
    bytes: &[u8],
    asked: &StorePath,
    source: &str,
    judge: Judge<'_>,
) -> Result<Reading, Box<Finding>> {
    let subject = || judge.store_dir.full(asked);
    let info = NarInfo::parse(bytes, judge.store_dir)
        .map_err(|error| refused(&error, &subject(), source))?;
    if info.store_path != *asked {
        let message = format!("{source} answers with the narinfo of another store path");
        return Err(Box::new(
            Finding::new(&FOREIGN_NARINFO, subject(), message)
                .with("asked for", judge.store_dir.full(asked))
                .with("answered", judge.store_dir.full(&info.store_path)),
        ));
    }
    Ok(understand(info, source, judge))
}

/// The finding for an answer that is no narinfo.
#[must_use]
pub fn refused(error: &NarInfoError, subject: &str, source: &str) -> Box<Finding> {
    let (rule, what) = match error {
        NarInfoError::Doubled { .. } | NarInfoError::DoubledReference { .. } => {
            (&DOUBLED_FIELD, "an ambiguous narinfo")
        }
        NarInfoError::StorePath {
            field: "StorePath",
            source: StorePathError::OutsideStore { .. },
            ..
        } => (&FOREIGN_STORE_DIRECTORY, "the narinfo of another store directory"),
        _ => (&MALFORMED_NARINFO, "a malformed narinfo"),
    };
    Box::new(Finding::new(rule, subject, format!("{source} serves {what}: {error}")))
}

fn understand(info: NarInfo, source: &str, judge: Judge<'_>) -> Reading {
    let subject = judge.store_dir.full(&info.store_path);
    let report = info.verify(judge.store_dir, judge.keys);
    let names = |keys: &[KeyName]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut remarks = Vec::new();
    let standing = Standing::of_narinfo(&report);
    if !report.as_written_only().is_empty() {
        let message = format!(
            "the signature in the narinfo of {source} is good over the references in the order of the file and bad over the sorted set that Nix checks"
        );
        remarks.push(
            Finding::new(&UNSORTED_REFERENCES, subject.as_str(), message)
                .with("key", names(report.as_written_only()).join(", ")),
        );
    } else if report.unsorted_references() {
        let message = format!("{source} lists the references out of order");
        remarks.push(
            Finding::new(&UNSORTED_REFERENCES, subject.as_str(), message).weighed(Level::Note),
        );
    }
    if let Err(error) = info.check_url() {
        let message = format!("the narinfo of {source} leads out of the cache: {error}");
        remarks.push(
            Finding::new(&URL_OUTSIDE_CACHE, subject.as_str(), message)
                .with("URL", info.url.as_written()),
        );
    }
    remarks.extend(conflicts(&info, &subject, source));
    let facts = report.into_claimed();
    let ca = info.ca.map(|ca| content_address(ca, &facts, judge.store_dir));
    remarks.extend(wrong_address(ca.as_ref(), &facts, &standing, source, judge.store_dir));
    let archive = Archive {
        url: info.url.as_written().into(),
        compression: info.compression,
        file_hash: info.file_hash,
        file_size: info.file_size,
    };
    Reading { facts, standing, deriver: info.deriver, ca, remarks, archive: Some(archive) }
}

/// Reads what the database of the local store `source` says.
#[must_use]
pub fn read_record(record: LocalRecord, source: &str, judge: Judge<'_>) -> Reading {
    let LocalRecord { facts, deriver, signatures, ca } = record;
    let checked = facts.check_signatures(judge.store_dir, &signatures, judge.keys);
    let standing = Standing::of_signatures(&checked);
    let ca = ca.map(|ca| content_address(ca, &facts, judge.store_dir));
    let remarks = wrong_address(ca.as_ref(), &facts, &standing, source, judge.store_dir);
    let remarks = remarks.into_iter().collect();
    Reading { facts, standing, deriver, ca, remarks, archive: None }
}

/// What follows from a content address.
fn content_address(ca: ContentAddress, facts: &PathInfo, store_dir: &StoreDir) -> CaFacts {
    let plain_nar = ca.method() == Method::Recursive
        && ca.hash().algorithm() == HashAlgorithm::Sha256
        && !facts.references.contains(&facts.path);
    let proof = if !facts.is_content_addressed_by(&ca, store_dir) {
        CaProof::Wrong
    } else if !plain_nar {
        CaProof::Path
    } else if *ca.hash() == facts.nar_hash.hash() {
        CaProof::NarHash
    } else {
        CaProof::Wrong
    };
    CaFacts { ca, proof }
}

/// A content address that is none. It is not signed: where a signature vouches
/// for the content, it is a mere blemish.
fn wrong_address(
    ca: Option<&CaFacts>,
    facts: &PathInfo,
    standing: &Standing,
    source: &str,
    store_dir: &StoreDir,
) -> Option<Finding> {
    let CaFacts { ca, proof: CaProof::Wrong } = ca? else { return None };
    let message = if facts.is_content_addressed_by(ca, store_dir) {
        format!("{source} claims a NarHash that is not the content address")
    } else {
        format!("{source} claims a content address that gives another store path")
    };
    let finding = Finding::new(&WRONG_CONTENT_ADDRESS, store_dir.full(&facts.path), message)
        .with("CA", ca)
        .with("NarHash", facts.nar_hash);
    let signed = matches!(standing, Standing::Trusted { .. });
    Some(if signed { finding.weighed(Level::Warning) } else { finding })
}

/// Unsigned fields that cannot all be true.
fn conflicts(info: &NarInfo, subject: &str, source: &str) -> Option<Finding> {
    let mut found = Vec::new();
    if info.compression == Compression::None {
        if let Some(size) = info.file_size.filter(|size| *size != info.nar_size) {
            found.push(("FileSize", size.to_string(), "NarSize", info.nar_size.to_string()));
        }
        if let Some(hash) = info.file_hash
            && hash.0.algorithm() == HashAlgorithm::Sha256
            && hash.0 != info.nar_hash.hash()
        {
            found.push(("FileHash", hash.to_string(), "NarHash", info.nar_hash.to_string()));
        }
    }
    let path = info.url.as_written().split('?').next().unwrap_or_default();
    let named = SUFFIXES.iter().find(|(suffix, _)| path.ends_with(suffix));
    if let Some((_, compression)) = named
        && *compression != info.compression
    {
        let url = info.url.as_written().to_owned();
        found.push(("URL", url, "Compression", info.compression.to_string()));
    }
    if found.is_empty() {
        return None;
    }
    let pairs: Vec<String> = found.iter().map(|(a, _, b, _)| format!("{a} and {b}")).collect();
    let message = format!("in the narinfo of {source}, {} contradict", pairs.join(", "));
    let mut finding = Finding::new(&CONFLICTING_FIELDS, subject, message);
    for (a, a_value, b, b_value) in found {
        finding = finding.with(a, a_value).with(b, b_value);
    }
    Some(finding)
}

impl Reading {
    /// The signed facts.
    #[must_use]
    pub const fn facts(&self) -> &PathInfo {
        &self.facts
    }

    /// What its signatures are worth.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Adds what is odd about it.
    pub fn remark(&mut self, finding: Finding) {
        self.remarks.push(finding);
    }

    /// Puts it into the table. `shared` gives every equal standing one place
    /// in memory; the address of the NAR is kept only if it `will_be_read`.
    #[must_use]
    pub fn enter(
        self,
        table: &mut PathTable,
        shared: impl FnOnce(Standing) -> Arc<Standing>,
        will_be_read: bool,
    ) -> SourceClaim {
        SourceClaim {
            standing: shared(self.standing),
            nar_hash: self.facts.nar_hash,
            nar_size: self.facts.nar_size,
            references: table.set(&self.facts.references),
            deriver: self.deriver.map(|path| table.intern(&path)),
            ca: self.ca.map(Box::new),
            remarks: self.remarks.into_boxed_slice(),
            content: Content::NotAsked,
            archive: self.archive.filter(|_| will_be_read).map(Box::new),
        }
    }
}

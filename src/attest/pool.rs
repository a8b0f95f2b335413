//! What trusted statements say, collected from envelopes.
//!
//! A payload is read only behind a good signature by a trusted key. Who says
//! something is counted in operators where a file names them, and in keys
//! otherwise: one key under two names is one witness.

use std::collections::{BTreeMap, BTreeSet};

use super::bill::{self, Bill};
use super::dsse::{Envelope, IN_TOTO};
use super::rebuild::{self, Rebuild};
use super::statement::{Digest, Statement};
use super::summary::{self, Summary};
use crate::check::Verdict;
use crate::check::operators::Operators;
use crate::nix::signature::{KeyName, TrustedKeys};

/// One line of a file: an envelope, if it is one.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// The file, as it is shown.
    pub file: &'a str,
    /// The line, from 1.
    pub number: usize,
    /// What stands there, without its end.
    pub bytes: &'a [u8],
}

/// What came of one envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file and the line.
    pub place: String,
    /// What it is.
    pub standing: Standing,
    /// Trusted keys that have signed it.
    pub keys: BTreeSet<KeyName>,
    /// Names of keys that are not trusted; empty for none given.
    pub unknown: BTreeSet<String>,
    /// Trusted names whose signature is bad.
    pub forged: BTreeSet<KeyName>,
    /// The type of the predicate, where it was read.
    pub predicate_type: Option<String>,
    /// How many contents it is about.
    pub subjects: usize,
}

/// What an envelope is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Signed by trusted keys, every signature under a trusted name is good,
    /// and understood.
    Trusted,
    /// Signed alike, with a predicate that is not known here.
    Unsupported,
    /// Signed by nobody who is trusted; not read.
    Untrusted,
    /// A signature under a trusted name is bad; not read.
    Forged,
    /// No envelope, or no statement behind a good signature.
    Malformed(String),
}

impl Standing {
    /// The word used in reports.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Unsupported => "unsupported",
            Self::Untrusted => "untrusted",
            Self::Forged => "forged",
            Self::Malformed(_) => "malformed",
        }
    }
}

/// What kind of thing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It was built again.
    Rebuild,
    /// It was held against a policy.
    Summary,
    /// What it is made of.
    Bill,
}

impl Kind {
    /// The word used in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Summary => "vsa",
            Self::Bill => "sbom",
        }
    }
}

/// What one statement says of one content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vote {
    /// Who says so: the operators, or the keys, behind the signatures. Empty if
    /// the keys belong to nobody who counts.
    pub witnesses: BTreeSet<String>,
    /// The keys.
    pub keys: BTreeSet<String>,
    /// The answer.
    pub verdict: Verdict,
    /// The word for it.
    pub status: String,
    /// Where it stands.
    pub place: String,
    /// How many builds gave it, where all of several gave the same.
    pub builds: Option<u64>,
}

/// What is said of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What it is, by content: built, judged or described.
    pub contents: BTreeMap<Digest, Vec<Vote>>,
    /// Contents that are claimed of it and that somebody did not get.
    pub refuted: BTreeSet<Digest>,
    /// Statements that tried and got no content.
    pub without: Vec<Vote>,
}

/// Everything that trusted statements say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// The envelopes, in their order.
    pub entries: Vec<Entry>,
    /// By kind and name.
    pub said: BTreeMap<(Kind, String), Said>,
    /// The bills of materials that trusted keys have signed, as written, with
    /// where they stand.
    pub bills: Vec<(String, String)>,
}

/// Whose word counts, and as how many.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    /// The keys.
    pub keys: &'a TrustedKeys,
    /// Who has them; if nobody is named, each key is a witness.
    pub operators: &'a Operators,
}

impl Trust<'_> {
    /// Most witnesses there could be.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        if self.operators.all().is_empty() {
            self.keys.iter().map(|key| key.bytes()).collect::<BTreeSet<_>>().len()
        } else {
            self.operators.witnesses()
        }
    }

    /// Who stands behind a key.
    fn witness(&self, name: &KeyName) -> Option<String> {
        if !self.operators.all().is_empty() {
            return self.operators.witness(name.as_str()).map(str::to_owned);
        }
        let bytes = self.keys.find(name)?.bytes();
        let first = self.keys.iter().find(|key| key.bytes() == bytes)?;
        Some(first.name().to_string())
    }
}

impl Pool {
    /// Reads envelopes.
    #[must_use]
    pub fn collect<'a>(lines: impl IntoIterator<Item = Line<'a>>, trust: Trust<'_>) -> Self {
        let mut pool = Self::default();
        for line in lines {
            pool.add(line, trust);
        }
        pool
    }

    fn add(&mut self, line: Line<'_>, trust: Trust<'_>) {
        let place = match line.number {
            1 => line.file.to_owned(),
            number => format!("{}:{number}", line.file),
        };
        let mut entry = Entry {
            place,
            standing: Standing::Untrusted,
            keys: BTreeSet::new(),
            unknown: BTreeSet::new(),
            forged: BTreeSet::new(),
            predicate_type: None,
            subjects: 0,
        };
        match Envelope::parse(line.bytes) {
            Err(error) => entry.standing = Standing::Malformed(error.to_string()),
            Ok(envelope) => {
                let checked = envelope.check(trust.keys);
                entry.keys = checked.good;
                entry.unknown = checked.unknown;
                entry.forged = checked.forged;
                entry.standing = if !entry.forged.is_empty() {
                    Standing::Forged
                } else if entry.keys.is_empty() {
                    Standing::Untrusted
                } else {
                    self.read(&envelope, &mut entry, trust)
                };
            }
        }
        self.entries.push(entry);
    }

    /// Reads what a trusted key has signed.
    fn read(&mut self, envelope: &Envelope, entry: &mut Entry, trust: Trust<'_>) -> Standing {
        if envelope.payload_type() != IN_TOTO {
            return Standing::Unsupported;
        }
        let statement = match Statement::parse(envelope.payload()) {
            Ok(statement) => statement,
            Err(error) => return Standing::Malformed(error.to_string()),
        };
        entry.predicate_type = Some(statement.predicate_type.clone());
        entry.subjects = statement.subjects.len();
        let vote = |verdict, status: &str| Vote {
            witnesses: entry.keys.iter().filter_map(|key| trust.witness(key)).collect(),
            keys: entry.keys.iter().map(ToString::to_string).collect(),
            verdict,
            status: status.to_owned(),
            place: entry.place.clone(),
            builds: None,
        };
        match statement.predicate_type.as_str() {
            rebuild::PREDICATE_TYPE => match Rebuild::from_statement(&statement) {
                Ok(rebuild) => self.rebuilt(&rebuild, vote),
                Err(error) => return Standing::Malformed(error.to_string()),
            },
            summary::PREDICATE_TYPE => match Summary::from_statement(&statement) {
                Ok(summary) => {
                    self.about(Kind::Summary, &statement, &vote(summary.verdict, summary.word()));
                }
                Err(error) => return Standing::Malformed(error.to_string()),
            },
            bill::PREDICATE_TYPE => match Bill::from_statement(&statement) {
                Ok(bill) => {
                    self.about(Kind::Bill, &statement, &vote(Verdict::Pass, "described"));
                    self.bills.push((entry.place.clone(), bill.text()));
                }
                Err(error) => return Standing::Malformed(error.to_string()),
            },
            _ => return Standing::Unsupported,
        }
        Standing::Trusted
    }

    /// Counts an unsigned rebuild report as the word of `witness`.
    pub fn add_report(&mut self, place: &str, rebuild: &Rebuild, witness: &str) {
        let witnesses = BTreeSet::from([witness.to_owned()]);
        self.rebuilt(rebuild, |verdict, status| Vote {
            witnesses: witnesses.clone(),
            keys: witnesses.clone(),
            verdict,
            status: status.to_owned(),
            place: place.to_owned(),
            builds: None,
        });
    }

    fn about(&mut self, kind: Kind, statement: &Statement, vote: &Vote) {
        for subject in &statement.subjects {
            let said = self.said.entry((kind, subject.name.clone())).or_default();
            said.contents.entry(subject.sha256).or_default().push(vote.clone());
        }
    }

    fn rebuilt(&mut self, rebuild: &Rebuild, vote: impl Fn(Verdict, &str) -> Vote) {
        for output in rebuild.derivations.iter().flat_map(|one| one.outputs.values()) {
            let Some(path) = &output.path else { continue };
            let said = self.said.entry((Kind::Rebuild, path.to_string())).or_default();
            let stable = output.stability.as_ref().filter(|stability| stability.stable);
            let builds = stable.map(|stability| stability.builds);
            let vote = Vote { builds, ..vote(output.verdict, &output.status) };
            match &output.contents {
                Some(ours) => {
                    said.contents.entry(Digest::from(ours.nar_hash)).or_default().push(vote);
                }
                None => said.without.push(vote),
            }
            for claim in output.claims.iter().filter(|claim| claim.equal == Some(false)) {
                let Some(contents) = &claim.contents else { continue };
                let key = (Kind::Rebuild, claim.path.to_string());
                let refuted = &mut self.said.entry(key).or_default().refuted;
                refuted.insert(Digest::from(contents.nar_hash));
            }
        }
    }
}

//! Reading the bytes: NARs out of caches as they stream by, objects of the
//! local store where they lie.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use super::{Surveyor, local};
use crate::check::cache::content::{Claimed, FlawKind, NarRead};
use crate::check::cache::{
    Archive, CaFacts, CaProof, Content, PathId, Silence, SourceClaim, SubjectFacts, Survey,
};
use crate::check::inspect::rules::WRONG_CONTENT_ADDRESS;
use crate::check::rebuild::Standing;
use crate::check::rebuild::rules::NAR_MISMATCH;
use crate::check::{Finding, Level, Reason};
use crate::gather::inputs::content::{ContentError, prove};
use crate::gather::nar::check::{NarCheck, NarFlaw, NarQuestion, NarUnchecked};
use crate::gather::nar::download::why;
use crate::gather::nar::tree::{TreeError, TreeOptions, dump, hash_at};
use crate::gather::store::local::LocalStore;
use crate::nix::nar::HashedSource;
use crate::nix::narinfo::{NarInfo, NarUrl};
use crate::nix::path_info::PathInfo;
use crate::nix::references::ReferenceScanner;
use crate::nix::store_path::StorePath;
use crate::report::progress::Phase;

/// Most store paths that are looked for in one NAR: what it claims to refer
/// to comes first, then what that refers to.
const MAX_CANDIDATES: usize = 10_000;

/// Objects up to this size are held to prove a content address; larger ones
/// go through a pipe.
const MAX_HELD: u64 = 8 << 20;

/// A content that was read: of which subject, from which source.
type Done = (usize, usize, Content);

impl Surveyor<'_> {
    /// Reads what lies behind every claim; behind those of `chosen` paths
    /// only, if a sample was drawn.
    pub fn read_contents(
        &self,
        survey: &mut Survey,
        chosen: Option<&BTreeSet<PathId>>,
        phase: &Phase,
    ) {
        let wanted = |id: PathId| chosen.is_none_or(|chosen| chosen.contains(&id));
        for subject in survey.subjects.iter_mut().filter(|subject| !wanted(subject.id)) {
            for answer in &mut subject.answers {
                if let Some(claim) = answer.claim_mut() {
                    claim.content = Content::NotSampled;
                }
            }
        }
        let mut done = self.read_nars(survey, &wanted, phase);
        done.extend(self.read_objects(survey, &wanted, phase));
        for (subject, source, content) in done {
            if let Some(claim) = survey
                .subjects
                .get_mut(subject)
                .and_then(|subject| subject.answers.get_mut(source))
                .and_then(|answer| answer.claim_mut())
            {
                claim.content = content;
            }
        }
        self.read_unregistered(survey, &wanted);
    }

    fn read_nars(
        &self,
        survey: &Survey,
        wanted: &(impl Fn(PathId) -> bool + Sync),
        phase: &Phase,
    ) -> Vec<Done> {
        let neighbours = Neighbours::of(survey);
        let nars = || {
            let subjects = survey.subjects.iter().enumerate();
            subjects.filter(|(_, subject)| wanted(subject.id)).flat_map(|(at, subject)| {
                subject.claims().filter_map(move |(source, claim)| {
                    Some((at, subject, source, claim, claim.archive.as_deref()?))
                })
            })
        };
        phase.grow(u64::try_from(nars().count()).unwrap_or(0));
        let questions = nars().filter_map(|(at, subject, source, claim, archive)| {
            let facts = facts(survey, subject, claim)?;
            Some(NarQuestion {
                cache: source,
                narinfo: narinfo(&facts, archive),
                candidates: neighbours.candidates(subject),
                subject: (at, facts, claim),
            })
        });
        let done = Mutex::new(Vec::new());
        self.client.check_nars(&self.urls(), questions, |question, answer| {
            let (at, facts, claim) = &question.subject;
            let content = match answer {
                Ok(check) => {
                    self.judge_nar(question.cache, &question.narinfo, facts, claim, &check)
                }
                Err(error) => Content::Unanswered(Box::new(unread(&error))),
            };
            phase.advance(1);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((
                *at,
                question.cache,
                content,
            ));
        });
        done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge_nar(
        &self,
        cache: usize,
        narinfo: &NarInfo,
        facts: &PathInfo,
        claim: &SourceClaim,
        check: &NarCheck,
    ) -> Content {
        let Some(asked) = self.caches.get(cache) else { return Content::NotAsked };
        let source = asked.url.to_string();
        let read = NarRead {
            flaws: check.flaws.iter().map(|flaw| (kind(flaw), flaw.to_string())).collect(),
            nar: check.nar,
            references: check.references.clone(),
        };
        let claimed = Claimed { facts, source: &source, store_dir: self.judge.store_dir };
        let mut findings = claimed.nar(&read);
        let right = !findings.iter().any(|finding| finding.level == Level::Error);
        let mut proves_ca = false;
        if let Some(address) = to_prove(claim).filter(|_| right) {
            // Only what nobody trusted has signed is read a second time.
            let proof = match self.client.nar(&asked.url, narinfo) {
                Ok(nar) => self.prove(nar, facts, address),
                Err(error) => return Content::Unanswered(Box::new(silence(error.to_string()))),
            };
            let changed = |why: &str| {
                let message = format!("{source} serves other bytes the second time: {why}");
                Finding::new(&NAR_MISMATCH, self.judge.store_dir.full(&facts.path), message)
                    .with("claimed NarHash", facts.nar_hash)
            };
            match proof {
                Ok(true) => proves_ca = true,
                Ok(false) => findings.push(changed("they have another hash")),
                Err(ContentError::Nar(error)) => {
                    let error = why(error);
                    if !error.is_corrupt() {
                        return Content::Unanswered(Box::new(silence(error.to_string())));
                    }
                    findings.push(changed(&error.to_string()));
                }
                Err(error) => findings.push(self.disproved(facts, address, &source, &error)),
            }
        }
        content(findings, proves_ca)
    }

    /// Whether a NAR with that content address is also the one that is
    /// claimed: it is read for the second time, and may be another by now.
    fn prove(
        &self,
        nar: impl io::Read,
        facts: &PathInfo,
        address: &CaFacts,
    ) -> Result<bool, ContentError> {
        let mut nar = HashedSource::new(nar);
        let PathInfo { path, references, .. } = facts;
        prove(&mut nar, path, references, &address.ca, self.judge.store_dir)?;
        io::copy(&mut nar, &mut io::sink()).map_err(unreadable)?;
        Ok(nar.finish() == (facts.nar_hash, facts.nar_size))
    }

    fn disproved(
        &self,
        facts: &PathInfo,
        address: &CaFacts,
        source: &str,
        error: &ContentError,
    ) -> Finding {
        let message =
            format!("the bytes of {source} are not what the content address says: {error}");
        Finding::new(&WRONG_CONTENT_ADDRESS, self.judge.store_dir.full(&facts.path), message)
            .with("CA", address.ca)
    }

    fn read_objects(
        &self,
        survey: &Survey,
        wanted: &(impl Fn(PathId) -> bool + Sync),
        phase: &Phase,
    ) -> Vec<Done> {
        let Some(store) = self.local else { return Vec::new() };
        let source = self.caches.len();
        let objects: Vec<(usize, &SubjectFacts, &SourceClaim)> = survey
            .subjects
            .iter()
            .enumerate()
            .filter(|(_, subject)| wanted(subject.id))
            .filter_map(|(at, subject)| Some((at, subject, subject.answers.get(source)?.claim()?)))
            .collect();
        phase.grow(u64::try_from(objects.len()).unwrap_or(0));
        let neighbours = Neighbours::of(survey);
        let mut options = TreeOptions::default();
        if objects.len() >= self.jobs {
            // They are read side by side, each by one thread.
            options.readers = 0;
        }
        let read = |(at, subject, claim): (usize, &SubjectFacts, &SourceClaim)| {
            let facts = facts(survey, subject, claim)?;
            let candidates = neighbours.candidates(subject);
            let content = self.read_object(store, &facts, claim, candidates, &options);
            phase.advance(1);
            Some((at, source, content))
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.jobs).build();
        match pool {
            Ok(pool) => {
                pool.install(|| objects.into_par_iter().with_max_len(1).filter_map(read).collect())
            }
            Err(_) => objects.into_iter().filter_map(read).collect(),
        }
    }

    fn read_object(
        &self,
        store: &LocalStore,
        facts: &PathInfo,
        claim: &SourceClaim,
        candidates: Vec<StorePath>,
        options: &TreeOptions,
    ) -> Content {
        let shown = store.host_path(&facts.path);
        let failed = |error: &dyn std::error::Error| {
            let mut detail = error.to_string();
            if let Some(cause) = error.source() {
                detail = format!("{detail}: {cause}");
            }
            Content::Unanswered(Box::new(silence(detail)))
        };
        // An object that is gone is a finding already.
        match store.has_object(&facts.path) {
            Ok(true) => {}
            Ok(false) if claim.is_missing() => return Content::NotAsked,
            Ok(false) => {
                return Content::Unanswered(Box::new(silence(format!(
                    "{} went away while this ran",
                    shown.display()
                ))));
            }
            Err(error) => return failed(&error),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match rustix::fs::open(store.directory(), flags, Mode::empty()) {
            Ok(directory) => directory,
            Err(error) => return failed(&io::Error::from(error)),
        };
        let mut scanner = ReferenceScanner::new(&candidates);
        let name = facts.path.to_string();
        let hashed =
            hash_at(directory.as_fd(), name.as_ref(), &shown, options, &mut [&mut scanner]);
        let source = local::name(store);
        let claimed = Claimed { facts, source: &source, store_dir: self.judge.store_dir };
        let (hash, size) = match hashed {
            Ok(found) => found,
            Err(
                error @ (TreeError::Type { .. } | TreeError::Depth(_) | TreeError::Name { .. }),
            ) => {
                return Content::Found([claimed.unfit(&error.to_string())].into());
            }
            Err(error) => return failed(&error),
        };
        let mut findings: Vec<Finding> = claimed.object(hash, size).into_iter().collect();
        if !findings.is_empty() {
            return content(findings, false);
        }
        findings.extend(claimed.references(scanner.found()));
        let mut proves_ca = false;
        if let Some(address) = to_prove(claim) {
            match self.prove_object(store, facts, address) {
                Ok(true) => proves_ca = true,
                Ok(false) => return failed(&io::Error::other("it changed while it was read")),
                Err(ContentError::Nar(error)) => return failed(&error),
                Err(error) => findings.push(self.disproved(facts, address, &source, &error)),
            }
        }
        content(findings, proves_ca)
    }

    /// Proves the content address of an object of the local store.
    fn prove_object(
        &self,
        store: &LocalStore,
        facts: &PathInfo,
        address: &CaFacts,
    ) -> Result<bool, ContentError> {
        let path = store.host_path(&facts.path);
        if facts.nar_size <= MAX_HELD {
            let mut nar = Vec::new();
            if let Err(error) = dump(&path, &mut nar) {
                return Err(unreadable(io::Error::other(error)));
            }
            return self.prove(nar.as_slice(), facts, address);
        }
        let (reader, mut writer) = io::pipe().map_err(unreadable)?;
        std::thread::scope(|scope| {
            // What cannot be dumped ends the pipe early, which is no NAR.
            scope.spawn(move || dump(&path, &mut writer));
            let mut reader = io::BufReader::new(reader);
            let proof = self.prove(&mut reader, facts, address);
            let mut rest = [0];
            // Read on, or the writer would wait for ever.
            while matches!(reader.read(&mut rest), Ok(1)) {}
            proof
        })
    }
}

fn unreadable(error: io::Error) -> ContentError {
    ContentError::Nar(crate::nix::nar::NarError {
        offset: 0,
        kind: crate::nix::nar::NarErrorKind::Io(error),
    })
}

/// The content address that only the bytes can prove, of a claim that nothing
/// else vouches for.
fn to_prove(claim: &SourceClaim) -> Option<&CaFacts> {
    let unsigned = !matches!(&*claim.standing, Standing::Trusted { .. });
    claim.ca.as_deref().filter(|facts| unsigned && facts.proof == CaProof::Path)
}

fn content(findings: Vec<Finding>, proves_ca: bool) -> Content {
    if findings.is_empty() {
        Content::Holds { proves_ca }
    } else {
        Content::Found(findings.into_boxed_slice())
    }
}

fn silence(detail: String) -> Silence {
    Silence { reason: Reason::Unreachable, detail }
}

fn unread(error: &NarUnchecked) -> Silence {
    let reason = match error {
        NarUnchecked::Cache(error) => error.reason(),
        NarUnchecked::Http(error) => error.failure.reason(),
        NarUnchecked::Window(_) => Reason::TooLarge,
        _ => Reason::Unreachable,
    };
    Silence { reason, detail: error.to_string() }
}

const fn kind(flaw: &NarFlaw) -> FlawKind {
    match flaw {
        NarFlaw::Url(_) => FlawKind::Outside,
        NarFlaw::Missing { .. } => FlawKind::Missing,
        NarFlaw::Malformed(_) => FlawKind::Malformed,
        NarFlaw::FileSize { .. } | NarFlaw::FileHash { .. } => FlawKind::File,
        _ => FlawKind::Bytes,
    }
}

/// The signed facts of a claim.
fn facts(survey: &Survey, subject: &SubjectFacts, claim: &SourceClaim) -> Option<PathInfo> {
    let references = claim.references.iter().filter_map(|id| survey.table.path(*id).cloned());
    Some(PathInfo {
        path: survey.table.path(subject.id)?.clone(),
        nar_hash: claim.nar_hash,
        nar_size: claim.nar_size,
        references: references.collect(),
    })
}

/// As much of the narinfo as it takes to find and check the NAR.
fn narinfo(facts: &PathInfo, archive: &Archive) -> NarInfo {
    NarInfo {
        store_path: facts.path.clone(),
        url: NarUrl::new(archive.url.to_string()),
        compression: archive.compression,
        file_hash: archive.file_hash,
        file_size: archive.file_size,
        nar_hash: facts.nar_hash,
        nar_size: facts.nar_size,
        references: Vec::new(),
        deriver: None,
        system: None,
        signatures: Vec::new(),
        ca: None,
        unknown_fields: Vec::new(),
    }
}

/// What refers to what.
struct Neighbours<'a> {
    survey: &'a Survey,
    places: HashMap<PathId, usize>,
}

impl<'a> Neighbours<'a> {
    fn of(survey: &'a Survey) -> Self {
        let places = survey.subjects.iter().enumerate();
        Self { survey, places: places.map(|(at, subject)| (subject.id, at)).collect() }
    }

    /// The paths to look for in the bytes of a subject: itself, everything it
    /// is said to refer to, and what that refers to.
    fn candidates(&self, subject: &SubjectFacts) -> Vec<StorePath> {
        let mut ids = vec![subject.id];
        let mut seen: BTreeSet<PathId> = BTreeSet::from([subject.id]);
        let near = subject.claims().flat_map(|(_, claim)| claim.references.iter().copied());
        ids.extend(near.filter(|id| seen.insert(*id)));
        let first = ids.clone();
        let far = first
            .iter()
            .filter_map(|id| self.survey.subjects.get(*self.places.get(id)?))
            .flat_map(SubjectFacts::claims)
            .flat_map(|(_, claim)| claim.references.iter().copied());
        let room = MAX_CANDIDATES.saturating_sub(ids.len());
        ids.extend(far.filter(|id| seen.insert(*id)).take(room));
        ids.iter().filter_map(|id| self.survey.table.path(*id).cloned()).collect()
    }
}

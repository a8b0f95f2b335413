//! Trying the canary (see [`crate::check::rebuild::canary`]): the same
//! executor, world, limits, cache client and judgement as for the targets,
//! against a signed cache made for it.

use std::collections::BTreeSet;

use super::super::Environment;
use super::builds::BuildSettings;
use super::shelf::contents;
use crate::build::specimen::{Specimen, Specimens, TEXT};
use crate::build::{BuildJob, BuildOutcome, Built, Executor};
use crate::check::Examination;
use crate::check::rebuild::canary::Canary;
use crate::check::rebuild::facts::{DerivationFacts, OutputFacts, Rebuild};
use crate::gather::cache::CacheClient;
use crate::gather::cache::answers::Answers;
use crate::gather::cache::claims::{self, Ids};
use crate::gather::cache::own::OwnCache;
use crate::gather::nar::tree;
use crate::nix::derivation::OUT;
use crate::nix::nar::{Event, NarWriter};
use crate::nix::store_path::StoreDir;
use crate::state::StateDir;

/// What a canary is tried with.
pub struct Trial<'a> {
    /// Who builds the targets.
    pub executor: &'a dyn Executor,
    /// How the targets are built.
    pub settings: &'a BuildSettings,
    /// Who asks caches about the targets.
    pub client: &'a CacheClient,
    /// Who judges the targets.
    pub judge: &'a dyn Fn(&Rebuild) -> Examination,
    /// Where work is kept.
    pub state: &'a StateDir,
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// Something that no other run has.
    pub nonce: String,
}

/// Something that no other run has.
#[must_use]
pub fn nonce(environment: &Environment) -> String {
    let now = environment.now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}", environment.process, now.as_nanos())
}

impl Trial<'_> {
    /// Tries it. Whatever goes wrong is part of the answer.
    #[must_use]
    pub fn run(&self) -> Canary {
        self.try_run().unwrap_or_else(Canary::untried)
    }

    fn try_run(&self) -> Result<Canary, String> {
        let specimens =
            Specimens::lay_out(self.state, self.store_dir, &self.nonce).map_err(chain)?;
        let Specimens { same, random, .. } = &specimens;
        let cache = OwnCache::make(specimens.directory(), self.store_dir).map_err(chain)?;
        // What the one gives is known without building it, so that an executor
        // that answers from anywhere but a build has nothing to answer with.
        cache.publish(&same.out, &expected()?, &BTreeSet::new()).map_err(chain)?;
        // What the other gave once is what it must not give again.
        let first = self.build(&specimens, random, 0)?;
        let first = only(&first)?;
        let mut nar = Vec::new();
        tree::dump(&first.host_path, &mut nar).map_err(chain)?;
        cache.publish(&random.out, &nar, &first.references).map_err(chain)?;

        let answers = Answers::new(self.client, cache.asked(), self.store_dir, cache.keys());
        let derivations = [(same, 0), (random, 1)]
            .into_iter()
            .map(|(specimen, round)| {
                let built = self.build(&specimens, specimen, round)?;
                self.facts(specimen, &built, &answers, &cache)
            })
            .collect::<Result<_, String>>()?;
        let rebuild = Rebuild { derivations, ..Rebuild::default() };
        let examination = (self.judge)(&rebuild);
        let status = |specimen: &Specimen| {
            let id = self.store_dir.full(&specimen.out);
            let subject = examination.subjects.iter().find(|subject| subject.id == id);
            subject.map_or_else(|| "not judged".to_owned(), |subject| subject.status.clone())
        };
        Ok(Canary { same: status(same), random: status(random), problem: None })
    }

    fn build(&self, all: &Specimens, specimen: &Specimen, round: u32) -> Result<Built, String> {
        let job = BuildJob {
            drv_path: specimen.drv_path.clone(),
            derivation: specimen.derivation.clone(),
            outputs: [(OUT.to_owned(), Some(specimen.out.clone()))].into(),
            inputs: all.inputs.clone(),
            world: self.settings.world,
            cores: self.settings.cores,
            limits: self.settings.limits,
            shell: self.settings.shell.clone(),
            network: false,
            keep_failed: false,
            hardened: self.settings.hardened,
            round,
            store_dir: self.store_dir.clone(),
        };
        match self.executor.build(&job).map_err(chain)? {
            BuildOutcome::Built(built) => Ok(built),
            BuildOutcome::Failed(failed) => {
                Err(format!("{}: {}", specimen.drv_path.name(), failed.reason))
            }
        }
    }

    fn facts(
        &self,
        specimen: &Specimen,
        built: &Built,
        answers: &Answers<'_>,
        cache: &OwnCache,
    ) -> Result<DerivationFacts, String> {
        let output = only(built)?;
        let claims =
            claims::collect(Some(&output.path), &Ids::default(), answers, cache.keys(), None);
        let outputs = vec![OutputFacts {
            name: OUT.to_owned(),
            path: Some(output.path.clone()),
            ours: Some(contents(output)),
            ca: None,
            claims: claims.claims,
            unlike: None,
        }];
        let system = String::from_utf8_lossy(&specimen.derivation.platform).into_owned();
        Ok(DerivationFacts {
            system,
            ..DerivationFacts::target(specimen.drv_path.clone(), outputs)
        })
    }
}

/// The one output of a build.
fn only(built: &Built) -> Result<&crate::build::BuiltOutput, String> {
    built.outputs.get(OUT).ok_or_else(|| "the build ended without its output".to_owned())
}

/// The NAR of what gives the same every time.
fn expected() -> Result<Vec<u8>, String> {
    let size = u64::try_from(TEXT.len()).map_err(|error| error.to_string())?;
    let mut writer = NarWriter::new(Vec::new());
    writer
        .write(Event::File { executable: false, size })
        .and_then(|()| writer.write(Event::Contents(TEXT)))
        .map_err(|error| error.to_string())?;
    writer.finish().map_err(|error| error.to_string())
}

/// An error with all its causes, as one sentence.
fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;
    use crate::build::limits::{Held, Mechanism};
    use crate::build::{
        BuildError, BuiltOutput, FailureReason, Limits, LogFile, RootKind, Surroundings, World,
    };
    use crate::check::rebuild::examine;
    use crate::check::rebuild::fixture;
    use crate::check::{Level, Verdict};
    use crate::gather::http::credentials::Netrc;
    use crate::gather::http::{HttpClient, HttpOptions};
    use crate::nix::derivation::Derivation;
    use crate::nix::store_path::StorePath;

    /// What an executor that builds nothing gives.
    #[derive(Debug, Clone, Copy)]
    enum Fake {
        /// What a build would give.
        Honest,
        /// What it gave the first time.
        FromMemory,
        /// The same for everything.
        Constant,
        /// Something else every time, whatever it is.
        Noise,
        /// Nothing.
        Nothing,
    }

    struct FakeExecutor<'s> {
        state: &'s StateDir,
        fake: Fake,
        made: Mutex<BTreeMap<StorePath, Vec<u8>>>,
        count: Mutex<u8>,
    }

    impl Executor for FakeExecutor<'_> {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn obstacle(&self, _: &Derivation, _: &StoreDir) -> Option<FailureReason> {
            None
        }

        fn build(&self, job: &BuildJob) -> Result<BuildOutcome, BuildError> {
            let mut count = self.count.lock().unwrap();
            *count += 1;
            let fresh = vec![*count; 32];
            let random = job.derivation.args.len() == 2;
            let content = match self.fake {
                Fake::Nothing => return Err(BuildError::Other("no".to_owned())),
                Fake::Constant => TEXT.to_vec(),
                Fake::Noise => fresh,
                Fake::Honest if random => fresh,
                Fake::Honest => TEXT.to_vec(),
                Fake::FromMemory => {
                    let first = if random { fresh } else { TEXT.to_vec() };
                    self.made.lock().unwrap().entry(job.drv_path.clone()).or_insert(first).clone()
                }
            };
            let room = self.state.build_dir().unwrap();
            let host_path = room.path().join("out");
            std::fs::write(&host_path, content).unwrap();
            std::fs::set_permissions(&host_path, PermissionsExt::from_mode(0o444)).unwrap();
            let (nar_hash, nar_size) = tree::hash_tree(&host_path, &mut []).unwrap();
            let path = job.outputs.get(OUT).unwrap().clone().unwrap();
            let output = BuiltOutput {
                path,
                host_path,
                nar_hash,
                nar_size,
                references: BTreeSet::new(),
                ca: None,
            };
            let none = Mechanism::None;
            Ok(BuildOutcome::Built(Built {
                outputs: BTreeMap::from([(OUT.to_owned(), output)]),
                log: LogFile { path: "/log".into(), size: 0 },
                surroundings: Surroundings {
                    root_kind: RootKind::HostRoot,
                    shell: None,
                    differences: Vec::new(),
                    varied: Vec::new(),
                    held: Held { processes: none, memory: none, disk: none },
                },
                duration: Duration::ZERO,
                room: Some(Arc::new(room)),
            }))
        }
    }

    fn tried(fake: Fake, judge: &dyn Fn(&Rebuild) -> Examination) -> Canary {
        let place = tempfile::tempdir().unwrap();
        let state = StateDir::open(&place.path().join("state")).unwrap();
        let store_dir = StoreDir::default();
        let http = HttpClient::new(HttpOptions { offline: true, ..HttpOptions::default() });
        let client = CacheClient::new(http, Netrc::default(), store_dir.clone());
        let executor =
            FakeExecutor { state: &state, fake, made: Mutex::default(), count: Mutex::default() };
        let settings = BuildSettings {
            world: World::newest(),
            cores: 1,
            limits: Limits::default(),
            shell: None,
            network: false,
            keep_failed: false,
            hardened: false,
            rounds: 1,
            jobs: NonZeroUsize::MIN,
        };
        Trial {
            executor: &executor,
            settings: &settings,
            client: &client,
            judge,
            state: &state,
            store_dir: &store_dir,
            nonce: "test".to_owned(),
        }
        .run()
    }

    fn honest(rebuild: &Rebuild) -> Examination {
        examine(rebuild, &StoreDir::default(), false)
    }

    #[test]
    fn an_executor_that_does_not_build_is_found_out() {
        assert_eq!(tried(Fake::Honest, &honest).failure(), None);
        for (fake, why) in [
            (Fake::FromMemory, "never gives the same came out as 'reproduced'"),
            (Fake::Constant, "never gives the same came out as 'reproduced'"),
            (Fake::Noise, "gives the same every time came out as 'differs'"),
            (Fake::Nothing, "could not be tried: no"),
        ] {
            let failure = tried(fake, &honest).failure().unwrap_or_default();
            assert!(failure.contains(why), "{fake:?}: {failure}");
        }
    }

    /// A comparison that calls everything equal, or everything different.
    #[test]
    fn a_broken_comparison_ends_inconclusive() {
        let calling = |status: &'static str| {
            move |rebuild: &Rebuild| {
                let mut examination = honest(rebuild);
                for subject in &mut examination.subjects {
                    status.clone_into(&mut subject.status);
                }
                examination
            }
        };
        for status in ["reproduced", "differs", "no-reference"] {
            let canary = tried(Fake::Honest, &calling(status));
            assert!(canary.failure().is_some(), "{status}");
        }
        let nothing = |rebuild: &Rebuild| {
            let mut examination = honest(rebuild);
            examination.subjects.clear();
            examination
        };
        assert!(tried(Fake::Honest, &nothing).failure().is_some());

        // What such a run calls reproduced does not pass.
        let target = |canary| {
            let derivations = vec![fixture::built("x", 1, vec![fixture::trusted("x", 1)])];
            let rebuild = Rebuild { derivations, canary, ..Rebuild::default() };
            honest(&rebuild)
        };
        let held = target(Some(tried(Fake::Honest, &honest)));
        assert_eq!(held.verdict(Level::Error), Verdict::Pass);
        let failed = target(Some(tried(Fake::Honest, &calling("reproduced"))));
        assert_eq!(failed.verdict(Level::Error), Verdict::Inconclusive);
        assert_eq!(failed.subjects[0].status, "canary-failed");
        assert_eq!(failed.coverage.answered, 0);
    }
}

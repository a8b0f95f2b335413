//! The steps of a run whose targets are known: plan, gather, build, report.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cli::RebuildArgs;
use super::super::{Environment, ToolError};
use super::builds::{BuildSettings, Builds, Done};
use super::canary::{Trial, nonce};
use super::executors::Chosen;
use super::gathered::{Gathered, Gathering};
use super::ground::{Ground, Known};
use super::outcome::{Outcome, kept_differences, kept_section, run_facts};
use super::own_chain::{Again, OwnChain, is_read_otherwise};
use super::planned::{self, Means};
use super::settings::{find_shell, other_worlds, settings};
use super::shelf::Shelf;
use super::{baseline, resume};
use crate::build::{self, BuildError, BuiltOutput, Recorded};
use crate::check::rebuild::canary::Canary;
use crate::check::rebuild::facts::{Rebuild, ShellFacts};
use crate::check::rebuild::planned::examine_plan;
use crate::check::rebuild::{examine, rules};
use crate::gather::cache::answers::Answers;
use crate::gather::difference::differing::{self, Differing};
use crate::gather::difference::diffoscope::Diffoscope;
use crate::nix::store_path::StorePath;
use crate::report::{Progress, Report, Trouble, rebuild as render};
use crate::state::Run;

/// A run whose targets are known.
pub struct Work<'a> {
    /// What the user asked for.
    pub args: &'a RebuildArgs,
    /// Clock, variables, where relative names begin.
    pub environment: &'a Environment,
    /// Where progress is shown.
    pub progress: &'a Progress,
    /// What the run stands on.
    pub ground: &'a Ground,
    /// What caches say.
    pub answers: &'a Answers<'a>,
    /// The targets and all below.
    pub known: &'a Known,
    /// Who builds.
    pub chosen: &'a Chosen<'a>,
}

/// What came of the builds.
pub struct Results {
    settings: BuildSettings,
    shell: Option<ShellFacts>,
    canary: Canary,
    /// Of each derivation.
    done: BTreeMap<StorePath, Done>,
    /// What was at hand in the end.
    shelf: Shelf,
    /// Of those that were built again on our own inputs.
    again: BTreeMap<StorePath, Again>,
    /// Whether such builds were to be made.
    chained: bool,
    /// Builds that an earlier process of this run had finished.
    resumed: BTreeSet<StorePath>,
}

impl Work<'_> {
    const fn gathering(&self) -> Gathering<'_> {
        Gathering {
            graph: &self.known.graph,
            answers: self.answers,
            sources: &self.ground.sources,
            store_dir: &self.ground.store_dir,
            state: &self.ground.state,
            network_builders: self.args.allow_network_builders,
            offline: self.args.sources.offline,
            progress: self.progress,
        }
    }

    /// Says what a run would do.
    ///
    /// # Errors
    /// A shell that was named and cannot be used.
    pub fn plan(&self) -> Result<Report, ToolError> {
        let Self { args, ground, known, .. } = self;
        let shell = find_shell(args, self.environment, &ground.sources, &BTreeMap::new())?;
        let means = Means { executor: self.chosen.executor(), has_shell: shell.is_some() };
        let plan = || planned::planned(&self.gathering(), &known.scope, &known.targets, &means);
        let mut planned = ground.questions.install(plan);
        planned.findings.extend(known.findings.iter().cloned());
        planned.unanswered.extend(known.unanswered.iter().cloned());
        let mut examination = examine_plan(&planned, &ground.store_dir);
        examination.facts = render::plan_facts(&planned, args.world.name(), &ground.store_dir)
            .map_err(|error| ToolError::failed("put the facts into the report", error))?;
        Ok(Report::from(examination).with_view(render::plan_view(&planned)))
    }

    /// Gets everything that need not be built.
    ///
    /// # Errors
    /// Our own failure to keep it.
    pub fn gather(&self) -> Result<Gathered, ToolError> {
        self.ground.questions.install(|| self.gathering().run(&self.known.scope.wanted))
    }

    /// Tries the canary and builds everything. What is finished is written down
    /// in `record`.
    ///
    /// # Errors
    /// Options that make no sense, a state directory that does not work.
    pub fn build(
        &self,
        gathered: &Gathered,
        record: &mut Option<Run>,
    ) -> Result<Results, ToolError> {
        let Self { args, environment, ground, known, chosen, .. } = self;
        let shell = find_shell(args, environment, &ground.sources, &gathered.objects)?;
        let settings = settings(args, environment, shell.as_ref(), &ground.state)?;
        let canary = self.canary(&settings);

        let looked_at = |output: &BuiltOutput| {
            is_read_otherwise(&gathered.objects, output)
                || differing::is_claimed_otherwise(&output.path, output.nar_hash, self.answers)
        };
        let read: BTreeSet<StorePath> = gathered.plan.needs().into_values().flatten().collect();
        let needed = |drv_path: &StorePath, output: &BuiltOutput| {
            read.contains(drv_path) || looked_at(output)
        };
        let executor = chosen.executor();
        let circumstances = format!("{} {}", build::recorded::program(), chosen.described());
        *record = resume::open(args, environment, &ground.state, &circumstances, &known.targets)?;
        let recorded = record
            .as_ref()
            .map(|run| Recorded::new(executor, &ground.state, run, &circumstances, &needed));
        let builds = Builds {
            repeated: &|drv_path| known.scope.wanted.contains(drv_path),
            looked_at: &looked_at,
            executor: recorded.as_ref().map_or(executor, |recorded| recorded),
            graph: &known.graph,
            plan: &gathered.plan,
            settings: &settings,
            store_dir: &ground.store_dir,
            progress: self.progress,
        };
        let (done, shelf) = builds.run(gathered.objects.clone());
        // Of a sample, most of what is below was not built.
        let chained = known.scope.sample.is_none() && done.len() > 1;
        let own = OwnChain { builds: &builds, done: &done, shelf: &shelf };
        let again = if chained { own.run() } else { BTreeMap::new() };

        let resumed = recorded.as_ref().map(Recorded::resumed).unwrap_or_default();
        let resumed = resumed.into_iter().map(|(drv_path, _)| drv_path).collect();
        let shell = shell.map(|shell| shell.facts);
        Ok(Results { settings, shell, canary, done, shelf, again, chained, resumed })
    }

    /// Whether this run sees what is put before it.
    fn canary(&self, settings: &BuildSettings) -> Canary {
        let Ground { store_dir, sources, state, .. } = self.ground;
        Trial {
            executor: self.chosen.executor(),
            settings,
            client: &sources.client,
            judge: &|rebuild| examine(rebuild, store_dir, sources.local.is_some()),
            state,
            store_dir,
            nonce: nonce(self.environment),
        }
        .run()
    }

    /// Collects claims, compares, judges.
    ///
    /// # Errors
    /// None in practice: every key of the report is text.
    pub fn report(&self, gathered: &Gathered, results: Results) -> Result<Report, ToolError> {
        let Ground { store_dir, sources, baseline, picture, .. } = self.ground;
        let differing = self.differing(&results.settings);
        let mut rebuild = self.facts(gathered, &results, &differing);
        let mut examination = examine(&rebuild, store_dir, sources.local.is_some());
        if examination.findings.iter().any(|finding| finding.rule == &rules::OUTPUT_DIFFERS) {
            rebuild.other_worlds = other_worlds(results.settings.world);
        }
        examination.facts = render::facts(&rebuild, store_dir)
            .map_err(|error| ToolError::failed("put the facts into the report", error))?;
        let mut view = render::view(&rebuild, store_dir);
        if let Some(baseline) = baseline {
            baseline::compare(baseline, &mut examination, &mut view)?;
        }
        if !self.args.output.reproducible {
            view.sections.extend(kept_section(&rebuild));
        }
        let mut report = Report::from(examination).with_view(view);
        report.troubles.extend(results.troubles().map(|error| Trouble::from_error(error)));
        let kept = differing.troubles();
        report.troubles.extend(kept.iter().map(|error| Trouble::from_error(error.as_ref())));
        let drawn = picture.as_ref().and_then(|picture| picture.write(&rebuild, store_dir));
        report.troubles.extend(drawn);
        let executor = self.chosen.executor().name();
        report.run = run_facts(&results.done, executor, &results.settings.limits);
        report.run.insert("differences".to_owned(), kept_differences(&rebuild));
        let resumed = results.resumed.iter().map(ToString::to_string).collect();
        report.run.insert("resumed".to_owned(), resumed);
        Ok(report)
    }

    /// What explains differences.
    fn differing(&self, settings: &BuildSettings) -> Differing<'_> {
        let Self { environment, ground, .. } = self;
        let diffoscope = self.args.diffoscope.then(|| {
            let path = environment.variable("PATH");
            Diffoscope::new(path, ground.root_kind.separates_owner())
        });
        let context = differing::context(environment.now, settings.cores);
        Differing::new(self.answers, &ground.state, &ground.store_dir, context, diffoscope)
    }

    /// Everything that is known in the end.
    fn facts(&self, gathered: &Gathered, results: &Results, differing: &Differing<'_>) -> Rebuild {
        let Self { ground, known, .. } = self;
        let outcome = Outcome {
            graph: &known.graph,
            gathered,
            done: &results.done,
            again: &results.again,
            objects: &results.shelf.objects,
            differing,
        };
        let (targets, wanted) = (&known.targets, &known.scope.wanted);
        let facts = || outcome.facts(targets, wanted, self.answers, &ground.sources);
        let mut rebuild = ground.questions.install(facts);
        rebuild.chained = results.chained;
        rebuild.rounds = self.args.rounds;
        rebuild.sample.clone_from(&known.scope.sample);
        rebuild.fetchers = known.scope.fetchers;
        rebuild.world = results.settings.world.name.to_owned();
        rebuild.sandbox.shell.clone_from(&results.shell);
        rebuild.findings.extend(known.findings.iter().cloned());
        rebuild.unanswered.extend(known.unanswered.iter().cloned());
        if let Some(why) = results.canary.failure() {
            rebuild.remarks.push(format!("nothing that this run calls equal counts: {why}"));
        }
        rebuild.canary = Some(results.canary.clone());
        rebuild
    }
}

impl Results {
    /// What went wrong on our side.
    fn troubles(&self) -> impl Iterator<Item = &BuildError> {
        let first = self.done.values().filter_map(|done| done.trouble.as_ref());
        first.chain(self.again.values().filter_map(|again| again.trouble.as_ref()))
    }
}

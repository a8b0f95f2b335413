//! `--plan`: what would be built and what it needs, without doing any of it.

use std::collections::{BTreeMap, BTreeSet};

use super::builds::reason;
use super::closure::{Scope, bottom_up};
use super::gathered::Gathering;
use crate::build::Executor;
use crate::check::Reason;
use crate::check::rebuild::facts::Role;
use crate::check::rebuild::planned::{Lacking, Planned, PlannedBuild, PlannedInput};
use crate::gather::inputs::plan::Plan;
use crate::gather::inputs::{Proof, Way};
use crate::nix::store_path::StorePath;

/// What would build.
pub struct Means<'a> {
    /// Who.
    pub executor: &'a dyn Executor,
    /// Whether there is something for `/bin/sh`.
    pub has_shell: bool,
}

/// What the sandbox has only if there is a shell for it.
const SHELL: &[u8] = b"/bin/sh";

/// Plans for what is wanted, and says what stands in the way.
#[must_use]
pub fn planned(
    gathering: &Gathering<'_>,
    scope: &Scope,
    targets: &BTreeSet<StorePath>,
    means: &Means<'_>,
) -> Planned {
    let (plan, mut findings) = gathering.plan(&scope.wanted);
    findings.extend(gathering.answers.findings());
    let mut obstacles = Obstacles {
        plan: &plan,
        gathering,
        means,
        found: BTreeMap::new(),
        wanted_by: BTreeMap::new(),
    };
    let needs = plan.needs();
    for drv_path in bottom_up(gathering.graph, plan.nodes.keys()) {
        obstacles.look(drv_path, needs.get(drv_path));
    }
    let role = |path: &StorePath| match (scope.wanted.contains(path), targets.contains(path)) {
        (true, true) => Role::Target,
        (true, false) => Role::Member,
        (false, _) => Role::Input,
    };
    let mut lacking: Vec<Lacking> = plan
        .lacking
        .iter()
        .map(|(path, lack)| Lacking {
            path: path.clone(),
            reason: lack.reason,
            detail: lack.detail.clone(),
            wanted_by: obstacles.wanted_by.get(path).copied().unwrap_or(0),
        })
        .collect();
    lacking.sort_by(|a, b| b.wanted_by.cmp(&a.wanted_by).then_with(|| a.path.cmp(&b.path)));
    let builds = plan.nodes.keys().map(|drv_path| PlannedBuild {
        drv_path: drv_path.clone(),
        role: role(drv_path),
        is_built: true,
        obstacle: obstacles
            .found
            .get(drv_path)
            .map(|obstacle| (obstacle.reason, obstacle.detail.clone())),
    });
    let got = scope.wanted.iter().filter(|path| !plan.nodes.contains_key(*path));
    let got = got.map(|drv_path| PlannedBuild {
        drv_path: drv_path.clone(),
        role: role(drv_path),
        is_built: false,
        obstacle: unobtainable(gathering, &plan, drv_path),
    });
    let mut builds: Vec<PlannedBuild> = builds.chain(got).collect();
    builds.sort_by(|a, b| a.drv_path.cmp(&b.drv_path));
    let (unanswered, remarks) = gathering.answers.silences();
    Planned {
        builds,
        inputs: plan.ways.iter().filter_map(|(path, way)| input(gathering, path, way)).collect(),
        lacking,
        findings,
        unanswered,
        remarks,
        fetchers: scope.fetchers,
    }
}

/// Why the fixed output of a derivation cannot be got.
fn unobtainable(
    gathering: &Gathering<'_>,
    plan: &Plan,
    drv_path: &StorePath,
) -> Option<(Reason, String)> {
    let checked = gathering.graph.usable(drv_path).map(|(_, checked)| checked);
    let mut paths = checked.into_iter().flat_map(|checked| checked.outputs.values()).flatten();
    paths.find_map(|path| plan.lacking.get(path)).map(|lack| (lack.reason, lack.detail.clone()))
}

/// How an object would be got; `None` if it would be built.
fn input(gathering: &Gathering<'_>, path: &StorePath, way: &Way) -> Option<PlannedInput> {
    let word = |proof: &Proof| match proof {
        Proof::Signed { .. } => "signed",
        Proof::ContentAddressed(_) => "content-addressed",
        Proof::Fixed(_) => "fixed-by-hash",
    };
    let path = path.clone();
    Some(match way {
        Way::Local { contents, proof } => PlannedInput {
            path,
            proof: word(proof),
            from: Some("local store".to_owned()),
            nar_size: Some(contents.nar_size),
            file_size: None,
        },
        Way::Cache { cache, narinfo, proof } => PlannedInput {
            path,
            proof: word(proof),
            from: Some(gathering.answers.name(*cache)),
            nar_size: Some(narinfo.nar_size),
            file_size: narinfo.file_size,
        },
        Way::Fetch { .. } => PlannedInput {
            path,
            proof: "fixed-by-hash",
            from: None,
            nar_size: None,
            file_size: None,
        },
        Way::Build { .. } => return None,
    })
}

/// Why a derivation cannot be built.
#[derive(Debug, Clone)]
struct Obstacle<'a> {
    reason: Reason,
    detail: String,
    /// The derivation it is down to.
    root: &'a StorePath,
}

struct Obstacles<'a> {
    plan: &'a Plan,
    gathering: &'a Gathering<'a>,
    means: &'a Means<'a>,
    found: BTreeMap<&'a StorePath, Obstacle<'a>>,
    /// How many derivations read each object that lacks.
    wanted_by: BTreeMap<&'a StorePath, u64>,
}

impl<'a> Obstacles<'a> {
    /// Looks at a derivation all of whose needs were looked at.
    fn look(&mut self, drv_path: &'a StorePath, needs: Option<&BTreeSet<StorePath>>) {
        let own = self.own(drv_path);
        let blocked = needs.into_iter().flatten().find_map(|need| self.found.get(need));
        let obstacle = match blocked {
            Some(below) => Some(Obstacle {
                reason: Reason::BlockedBy,
                detail: format!("{} cannot be built: {}", below.root, below.detail_at_root()),
                root: below.root,
            }),
            None => own,
        };
        if let Some(obstacle) = obstacle {
            self.found.insert(drv_path, obstacle);
        }
    }

    /// What stands in the way at the derivation itself.
    fn own(&mut self, drv_path: &'a StorePath) -> Option<Obstacle<'a>> {
        let plan = self.plan;
        let node = plan.nodes.get(drv_path)?;
        let obstacle =
            |reason, detail: &str| Obstacle { reason, detail: detail.to_owned(), root: drv_path };
        if let Some(lack) = &node.lack {
            return Some(obstacle(lack.reason, &lack.detail));
        }
        let (derivation, checked) = self.gathering.graph.usable(drv_path)?;
        if let Some(failure) = self.means.executor.obstacle(derivation, self.gathering.store_dir) {
            return Some(obstacle(reason(&failure), &failure.to_string()));
        }
        let makes: BTreeSet<&StorePath> = checked.outputs.values().flatten().collect();
        let mut read_own = None;
        let mut first = None;
        let mut seen: BTreeSet<&StorePath> = node.inputs.iter().collect();
        let mut open: Vec<&StorePath> = node.inputs.iter().collect();
        while let Some(path) = open.pop() {
            if makes.contains(path) {
                read_own = Some(self.gathering.store_dir.full(path));
            }
            if let Some((path, lack)) = plan.lacking.get_key_value(path) {
                *self.wanted_by.entry(path).or_default() += 1;
                first = first.filter(|(known, _)| *known < path).or(Some((path, lack)));
            }
            let Some(way) = plan.ways.get(path) else { continue };
            for reference in way.references(path) {
                // Kept where the plan has it, so that it may be held on to.
                let known = plan.ways.get_key_value(&reference).map(|(path, _)| path);
                let lacking = plan.lacking.get_key_value(&reference).map(|(path, _)| path);
                if let Some(path) = known.or(lacking)
                    && seen.insert(path)
                {
                    open.push(path);
                }
            }
        }
        if let Some(own) = read_own {
            let why = format!("its inputs are claimed to refer to {own}, which it is to make");
            return Some(obstacle(Reason::Unsupported, &why));
        }
        if derivation.builder == SHELL && !self.means.has_shell {
            let why = "its builder is /bin/sh, and no static shell was found for it (name one \
                       with --shell, unless an input holds one)";
            return Some(obstacle(Reason::Environment, why));
        }
        first.map(|(_, lack)| obstacle(lack.reason, &lack.detail))
    }
}

impl Obstacle<'_> {
    /// The detail as it is at the derivation that everything is down to.
    fn detail_at_root(&self) -> &str {
        let prefix = format!("{} cannot be built: ", self.root);
        self.detail.strip_prefix(&prefix).unwrap_or(&self.detail)
    }
}

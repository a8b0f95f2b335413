//! From what was gathered to a bill of materials.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::bill::{Bill, Build, Component, Kind, Reference, References, Scope};
use super::meta::Meta;
use super::proof::Proofs;
use super::vendored::Inventory;
use super::{name, purl, source};
use crate::nix::derivation::modulo::DerivationSource;
use crate::nix::derivation::{Derivation, Output};
use crate::nix::hash::NarHash;
use crate::nix::store_path::{StoreDir, StorePath};

/// What is known of a store object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// The hash of its NAR, and the size.
    pub nar: Option<(NarHash, Option<u64>)>,
    /// What it refers to; `None` if nobody knows.
    pub references: Option<BTreeSet<StorePath>>,
    /// What it was made by, as somebody says.
    pub deriver: Option<StorePath>,
    /// Keys whose good signatures over it were met.
    pub signed_by: BTreeSet<String>,
    /// SHA-512 of its NAR, base 16.
    pub nar_sha512: Option<String>,
    /// Dependencies that lie inside it.
    pub vendored: Option<Inventory>,
    /// What could not be found out, and why.
    pub unknown: Vec<String>,
}

/// What a bill is to be about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// All outputs of a derivation, or those named.
    Derivation(StorePath, Option<BTreeSet<String>>),
    /// A store object.
    Path(StorePath),
}

/// What was gathered.
pub struct Facts<'a> {
    /// The store directory.
    pub store_dir: &'a StoreDir,
    /// What the bill is about.
    pub targets: &'a BTreeSet<Target>,
    /// Every derivation that was read.
    pub derivations: &'a dyn DerivationSource,
    /// Which derivation has an output path, as far as it was recomputed.
    pub producers: &'a BTreeMap<StorePath, (StorePath, String)>,
    /// Why a derivation could not be read or used.
    pub unusable: &'a BTreeMap<StorePath, String>,
    /// Store objects.
    pub objects: &'a BTreeMap<StorePath, Object>,
    /// Descriptions from outside.
    pub meta: &'a Meta,
    /// What reports prove.
    pub proofs: &'a Proofs,
    /// The time the bill is valid for.
    pub created: Option<String>,
}

/// Puts a bill together.
#[must_use]
pub fn assemble(facts: &Facts<'_>, scope: Scope) -> Bill {
    let mut assembly = Assembly {
        facts,
        bill: Bill {
            scope,
            subjects: BTreeSet::new(),
            components: BTreeMap::new(),
            dependencies: BTreeMap::new(),
            builds: BTreeMap::new(),
            created: facts.created.clone(),
        },
        references: HashMap::new(),
        sources: BTreeMap::new(),
        inputs: BTreeMap::new(),
        followed: HashSet::new(),
        left: Vec::new(),
    };
    for target in facts.targets {
        let items = assembly.items(target).into_iter().collect();
        let subjects = assembly.follow(items);
        assembly.bill.subjects.extend(subjects.iter().cloned());
    }
    while let Some(item) = assembly.left.pop() {
        assembly.add(item);
    }
    let Assembly { mut bill, .. } = assembly;
    // An object that refers to itself does not depend on itself.
    for (reference, dependencies) in &mut bill.dependencies {
        if dependencies.contains(reference) {
            Arc::make_mut(dependencies).remove(reference);
        }
    }
    bill
}

/// The name of what a derivation makes.
fn without_suffix(path: &StorePath) -> &str {
    path.name().strip_suffix(".drv").unwrap_or(path.name())
}

/// A component to be: a store object, an output, or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Item {
    path: Option<StorePath>,
    /// The derivation that makes it, and the output.
    made: Option<(StorePath, String)>,
}

struct Assembly<'a> {
    facts: &'a Facts<'a>,
    bill: Bill,
    /// What items are called, each name held once.
    references: HashMap<Item, Reference>,
    /// Sources and patches by derivation, which its outputs share.
    sources: BTreeMap<StorePath, Shared>,
    /// What derivations were built from, which their outputs share.
    inputs: BTreeMap<StorePath, References>,
    /// What is or was left to be added.
    followed: HashSet<Reference>,
    left: Vec<Item>,
}

type Shared = (Vec<super::bill::Source>, Vec<super::bill::Patch>);

impl Assembly<'_> {
    fn items(&self, target: &Target) -> Vec<Item> {
        match target {
            Target::Path(path) => vec![self.object(path)],
            Target::Derivation(drv_path, wanted) => {
                match self.facts.derivations.derivation(drv_path) {
                    Some(derivation) => {
                        let names = derivation.outputs.keys();
                        let meant = names
                            .filter(|name| wanted.as_ref().is_none_or(|all| all.contains(*name)));
                        meant.map(|name| self.output(drv_path, derivation, name)).collect()
                    }
                    // The derivation itself stands for what it would make.
                    None => vec![Item { path: Some(drv_path.clone()), made: None }],
                }
            }
        }
    }

    fn output(&self, drv_path: &StorePath, derivation: &Derivation, name: &str) -> Item {
        let output = derivation.outputs.get(name);
        Item {
            path: output.and_then(Output::path).cloned(),
            made: Some((drv_path.clone(), name.to_owned())),
        }
    }

    /// A store object, with what made it if that can be told for sure.
    fn object(&self, path: &StorePath) -> Item {
        Item { path: Some(path.clone()), made: self.facts.producers.get(path).cloned() }
    }

    fn reference(&mut self, item: &Item) -> Reference {
        if let Some(known) = self.references.get(item) {
            return known.clone();
        }
        let store_dir = self.facts.store_dir;
        let reference: Reference = match (&item.path, &item.made) {
            (Some(path), _) => store_dir.full(path),
            (None, Some((drv_path, output))) => format!("{}!{output}", store_dir.full(drv_path)),
            // Items are made with one of the two.
            (None, None) => String::new(),
        }
        .into();
        self.references.insert(item.clone(), reference.clone());
        reference
    }

    /// Leaves items to be added, each once.
    fn follow(&mut self, items: BTreeSet<Item>) -> References {
        let mut references = BTreeSet::new();
        for item in items {
            let reference = self.reference(&item);
            if self.followed.insert(reference.clone()) {
                self.left.push(item);
            }
            references.insert(reference);
        }
        references.into()
    }

    fn add(&mut self, item: Item) {
        let reference = self.reference(&item);
        if self.bill.components.contains_key(&reference) {
            return;
        }
        let component = self.component(reference.clone(), &item);
        self.bill.components.insert(reference.clone(), component);
        let Some(dependencies) = self.dependencies(&item) else {
            // What it was linked against is known even so.
            if self.bill.scope == Scope::Linked {
                let linked = self.linked(&item);
                self.follow(linked);
            }
            return;
        };
        if let Some((drv_path, _)) = &item.made {
            self.add_build(drv_path, &reference);
        }
        self.bill.dependencies.insert(reference, dependencies);
    }

    /// What an item depends on; `None` if that is not known.
    fn dependencies(&mut self, item: &Item) -> Option<References> {
        let items = match self.bill.scope {
            Scope::Build => return self.inputs(item),
            Scope::Runtime => self.referred(item)?,
            Scope::Linked => {
                let mut all = self.referred(item)?;
                all.extend(self.linked(item));
                all
            }
        };
        Some(self.follow(items))
    }

    fn referred(&self, item: &Item) -> Option<BTreeSet<Item>> {
        let object = self.facts.objects.get(item.path.as_ref()?)?;
        Some(object.references.as_ref()?.iter().map(|path| self.object(path)).collect())
    }

    fn linked(&self, item: &Item) -> BTreeSet<Item> {
        let made = item.made.as_ref();
        let derivation = made.and_then(|(path, _)| self.facts.derivations.derivation(path));
        let paths = derivation.map(|derivation| source::linked(derivation, self.facts.store_dir));
        paths.into_iter().flatten().map(|path| self.object(&path)).collect()
    }

    /// Everything that was read to make an item.
    fn inputs(&mut self, item: &Item) -> Option<References> {
        if let Some((drv_path, _)) = &item.made {
            return self.read_by(drv_path);
        }
        let path = item.path.as_ref()?;
        // A derivation that cannot be read: who knows what is below it. Any
        // other path came into the store as it is, and refers to no more
        // than it says.
        let items = match self.facts.objects.get(path) {
            Some(object) => {
                object.references.as_ref()?.iter().map(|path| self.object(path)).collect()
            }
            None if path.is_derivation() => return None,
            None => BTreeSet::new(),
        };
        Some(self.follow(items))
    }

    /// Everything that a derivation reads.
    fn read_by(&mut self, drv_path: &StorePath) -> Option<References> {
        if let Some(known) = self.inputs.get(drv_path) {
            return Some(known.clone());
        }
        let derivation = self.facts.derivations.derivation(drv_path)?;
        let mut items = BTreeSet::new();
        for (input, outputs) in &derivation.input_drvs {
            match self.facts.derivations.derivation(input) {
                Some(below) => {
                    items.extend(outputs.iter().map(|name| self.output(input, below, name)));
                }
                None => {
                    items.insert(Item { path: Some(input.clone()), made: None });
                }
            }
        }
        items.extend(derivation.input_srcs.iter().map(|path| self.object(path)));
        // What is read by a build belongs to a bill of what is built from.
        let inputs = if self.bill.scope == Scope::Build {
            self.follow(items)
        } else {
            Arc::new(items.iter().map(|item| self.reference(item)).collect())
        };
        self.inputs.insert(drv_path.clone(), inputs.clone());
        Some(inputs)
    }

    fn add_build(&mut self, drv_path: &StorePath, output: &Reference) {
        if let Some(build) = self.bill.builds.get_mut(drv_path) {
            build.outputs.insert(output.clone());
            return;
        }
        let Some(derivation) = self.facts.derivations.derivation(drv_path) else { return };
        let build = Build {
            system: name::printable(&derivation.platform),
            builder: name::printable(&derivation.builder),
            arguments: derivation.args.iter().map(|argument| name::printable(argument)).collect(),
            outputs: BTreeSet::from([output.clone()]),
            inputs: self.read_by(drv_path).unwrap_or_default(),
        };
        self.bill.builds.insert(drv_path.clone(), build);
    }

    fn component(&mut self, reference: Reference, item: &Item) -> Component {
        let store_dir = self.facts.store_dir;
        let store_path = item.path.as_ref().map(|path| store_dir.full(path));
        let object = item.path.as_ref().and_then(|path| self.facts.objects.get(path));
        let mut component = Component::new(reference);
        component.store_path = store_path;
        if let Some(object) = object {
            component.nar = object.nar;
            component.nar_sha512.clone_from(&object.nar_sha512);
            component.signed_by.clone_from(&object.signed_by);
            component.vendored.clone_from(&object.vendored);
            component.unknown.clone_from(&object.unknown);
        }
        if self.bill.scope != Scope::Build && object.is_none_or(|one| one.references.is_none()) {
            component.unknown.push(format!(
                "what {} refers to: nobody who was asked has it",
                component.reference
            ));
        }
        match &item.made {
            Some((drv_path, output)) => {
                self.describe_output(&mut component, drv_path, output, item)
            }
            None => self.describe_object(&mut component, item, object),
        }
        if let (None, Some(path)) = (component.nar, &component.store_path) {
            component.nar = self.facts.proofs.only_good(path).map(|hash| (hash, None));
        }
        component.proofs = self.facts.proofs.of(&component);
        component
    }

    fn describe_output(
        &mut self,
        component: &mut Component,
        drv_path: &StorePath,
        output: &str,
        item: &Item,
    ) {
        let store_dir = self.facts.store_dir;
        let full = without_suffix(drv_path);
        component.output = Some(output.to_owned());
        component.drv_path = Some(drv_path.clone());
        let Some(derivation) = self.facts.derivations.derivation(drv_path) else {
            (component.name, component.version) = name::split(full);
            return;
        };
        if let Some(why) = self.facts.unusable.get(drv_path) {
            component.unknown.push(format!("{}: {why}", store_dir.full(drv_path)));
        }
        component.system = Some(name::printable(&derivation.platform));
        (component.name, component.version) = name::of(derivation, full);
        if derivation.is_fixed() {
            component.kind = Kind::Fixed;
            if let Some(path) = &item.path {
                component.sources = vec![source::itself(derivation, path, store_dir)];
            }
            // The hash of a NAR is known before anybody has it.
            if let (None, Some(Output::Fixed { method, hash, .. })) =
                (component.nar, derivation.outputs.get(output))
                && *method == crate::nix::content_address::Method::Recursive
            {
                component.nar = NarHash::from_sha256(hash).map(|hash| (hash, None));
            }
        } else {
            component.kind = Kind::Output;
            let shared = self
                .sources
                .entry(drv_path.clone())
                .or_insert_with(|| source::sources(derivation, self.facts.derivations, store_dir));
            (component.sources, component.patches) = shared.clone();
        }
        self.describe(component, full);
        if component.purl.is_none() {
            let only = |variable: &str| {
                let mut meant = component
                    .sources
                    .iter()
                    .filter(|one| one.variable.as_deref() == Some(variable));
                meant.next().filter(|_| meant.next().is_none())
            };
            let fetched = match component.kind {
                Kind::Fixed => component.sources.first(),
                _ => only("src"),
            };
            let version = component.version.as_deref();
            component.purl = fetched
                .and_then(|source| purl::of_source(source, &component.name, version))
                .or_else(|| purl::draft(&component.name, version));
        }
    }

    /// A store object of which no derivation is at hand.
    fn describe_object(&self, component: &mut Component, item: &Item, object: Option<&Object>) {
        let Some(path) = &item.path else { return };
        if let Some(why) = self.facts.unusable.get(path) {
            component.unknown.push(format!("what it makes and is made of: {why}"));
        }
        let deriver = object.and_then(|object| object.deriver.as_ref());
        let full = without_suffix(path);
        let derived = deriver.map(without_suffix);
        component.output = derived.and_then(|derived| name::output(full, derived));
        // Whoever says what made it may be wrong, so it is not repeated as a
        // fact; its name only helps to tell the output from the version.
        let full = derived.filter(|_| component.output.is_some()).unwrap_or(full);
        (component.name, component.version) = name::split(full);
        let is_source = object.is_none_or(|object| {
            deriver.is_none() && object.references.as_ref().is_none_or(BTreeSet::is_empty)
        });
        if self.bill.scope == Scope::Build && is_source && !path.is_derivation() {
            component.kind = Kind::Source;
        }
        self.describe(component, full);
        if component.purl.is_none() && component.kind == Kind::Object {
            component.purl = purl::draft(&component.name, component.version.as_deref());
        }
    }

    /// What a package says of itself.
    fn describe(&self, component: &mut Component, full: &str) {
        let meta = self.facts.meta;
        if meta.is_ambiguous(full) {
            let why = format!("licence: --meta has entries of the name '{full}' that contradict");
            component.unknown.push(why);
        }
        let Some(description) = meta.find(component.store_path.as_deref(), full) else { return };
        component.description.clone_from(&description.description);
        component.homepage.clone_from(&description.homepage);
        component.licence = description.licence.clone();
        component.cpe.clone_from(&description.cpe);
        component.supplier =
            (!description.maintainers.is_empty()).then(|| description.maintainers.join(", "));
        component.known_vulnerabilities.clone_from(&description.known_vulnerabilities);
        component.purl = description.purl.as_ref().map(|text| super::bill::Purl {
            text: text.clone(),
            origin: super::bill::PurlOrigin::Meta,
        });
    }
}

//! The worlds builders live in, as data: one profile per range of versions.
//!
//! Facts of NixOS/nix, read at the release each profile names
//! (`local-derivation-goal.cc` up to 2.28, `linux-derivation-builder.cc`,
//! `derivation-builder.cc` and `derivation-env-desugar.cc` later). What all
//! of them share is code in [`super::sandbox`] and [`super::environment`].

use std::fmt;

/// A world: what one range of Nix versions gives a builder and does with
/// what it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact about a version")]
pub struct World {
    /// The name on the command line.
    pub name: &'static str,
    /// The release whose source the facts were read from.
    pub release: &'static str,
    /// The `NIX_ATTRS_*` variables name the file in the sandbox; before
    /// 2.13.4 they named the build directory on the host, unreadable inside.
    pub attrs_paths_inside: bool,
    /// `cores = 0` becomes the number of processors; before 2.31 it is
    /// passed on as `0`.
    pub zero_cores_counted: bool,
    /// `/etc` loses its write bits (0555) before the builder starts.
    pub etc_read_only: bool,
    /// Files and symlinks among the inputs are linked into the root file
    /// system; later versions bind-mount files and copy symlinks.
    pub file_inputs_linked: bool,
    /// Reference graph files belong to the builder; before 2.31 to root.
    pub graph_files_owned: bool,
    /// Reference graphs in JSON carry `"valid": true`.
    pub graph_valid_key: bool,
    /// Reference graphs of structured attributes may be nested lists.
    pub graph_nested_lists: bool,
    /// `fchmodat2` is filtered like `fchmodat`.
    pub filters_fchmodat2: bool,
    /// `getxattr` and kin fail with ENOTSUP.
    pub filters_getxattr: bool,
    /// `listxattr` and kin fail with ENOTSUP.
    pub filters_listxattr: bool,
    /// Builders with network find the CA certificates of the host.
    pub ca_certificates: bool,
    /// Abstract Unix sockets outside the sandbox are out of reach (Landlock).
    pub scopes_abstract_sockets: bool,
    /// `armv5tel-linux` also runs with a 32-bit personality.
    pub armv5tel_personality: bool,
    /// The hash of a content-addressed output counts the offsets of its
    /// references to itself (up to 2.16, again from 2.35).
    pub hashes_self_offsets: bool,
    /// A directory without its owner's execute bit becomes 0555; before 2.31
    /// it became 0444.
    pub directories_executable: bool,
    /// `unsafeDiscardReferences` is obeyed.
    pub discards_references: bool,
    /// A fixed output with references fails cleanly; 2.8 aborts for flat ones.
    pub refuses_fixed_references: bool,
}

/// All worlds, oldest first.
pub const WORLDS: [World; 5] = [NIX_2_8, NIX_2_18, NIX_2_24, NIX_2_31, NIX_2_35];

/// Nix 2.8: what Debian 12 ships and the parity tests run against.
const NIX_2_8: World = World {
    name: "nix-2.8",
    release: "2.8.0",
    attrs_paths_inside: false,
    zero_cores_counted: false,
    etc_read_only: false,
    file_inputs_linked: true,
    graph_files_owned: false,
    graph_valid_key: false,
    graph_nested_lists: false,
    filters_fchmodat2: false,
    filters_getxattr: false,
    filters_listxattr: false,
    ca_certificates: false,
    scopes_abstract_sockets: false,
    armv5tel_personality: false,
    hashes_self_offsets: true,
    directories_executable: false,
    discards_references: false,
    refuses_fixed_references: false,
};

/// Nix 2.18: the long-lived release of NixOS 23.11 to 24.05.
const NIX_2_18: World = World {
    name: "nix-2.18",
    release: "2.18.9",
    attrs_paths_inside: true,
    etc_read_only: true,
    graph_valid_key: true,
    filters_fchmodat2: true,
    ca_certificates: true,
    armv5tel_personality: true,
    hashes_self_offsets: false,
    discards_references: true,
    refuses_fixed_references: true,
    ..NIX_2_8
};

/// Nix 2.24: NixOS 24.11.
const NIX_2_24: World = World {
    name: "nix-2.24",
    release: "2.24.15",
    file_inputs_linked: false,
    filters_getxattr: true,
    ..NIX_2_18
};

/// Nix 2.31: NixOS 25.11.
const NIX_2_31: World = World {
    name: "nix-2.31",
    release: "2.31.5",
    zero_cores_counted: true,
    graph_files_owned: true,
    directories_executable: true,
    ..NIX_2_24
};

/// Nix 2.35: the newest read.
const NIX_2_35: World = World {
    name: "nix-2.35",
    release: "2.35.2",
    graph_nested_lists: true,
    filters_listxattr: true,
    scopes_abstract_sockets: true,
    hashes_self_offsets: true,
    ..NIX_2_31
};

/// How one fact of a world reads, for comparing two worlds.
type Fact = (&'static str, fn(&World) -> bool);

/// The facts that can show in output bytes, names or hashes, each as a
/// sentence that is true or false of a world.
const FACTS: [Fact; 17] = [
    ("NIX_ATTRS_JSON_FILE and NIX_ATTRS_SH_FILE name readable files", |w| w.attrs_paths_inside),
    ("NIX_BUILD_CORES is the processor count when cores is 0", |w| w.zero_cores_counted),
    ("/etc is not writable", |w| w.etc_read_only),
    ("input files are hard links in the root file system", |w| w.file_inputs_linked),
    ("reference graph files belong to the builder", |w| w.graph_files_owned),
    ("reference graphs in JSON have the key \"valid\"", |w| w.graph_valid_key),
    ("exportReferencesGraph accepts nested lists", |w| w.graph_nested_lists),
    ("fchmodat2 refuses setuid and setgid bits", |w| w.filters_fchmodat2),
    ("getxattr fails with ENOTSUP", |w| w.filters_getxattr),
    ("listxattr fails with ENOTSUP", |w| w.filters_listxattr),
    ("builders with network see the host's CA certificates", |w| w.ca_certificates),
    ("abstract sockets outside the sandbox are out of reach", |w| w.scopes_abstract_sockets),
    ("armv5tel-linux runs with a 32-bit personality", |w| w.armv5tel_personality),
    ("content-addressed hashes count the offsets of self-references", |w| w.hashes_self_offsets),
    ("directories without u+x become 0555", |w| w.directories_executable),
    ("unsafeDiscardReferences is obeyed", |w| w.discards_references),
    ("fixed outputs with references fail cleanly", |w| w.refuses_fixed_references),
];

impl World {
    /// The newest world, the default.
    #[must_use]
    pub const fn newest() -> Self {
        NIX_2_35
    }

    /// The world of that name on the command line.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        WORLDS.into_iter().find(|world| world.name == name)
    }

    /// The names of all worlds, oldest first.
    #[must_use]
    pub fn names() -> [&'static str; WORLDS.len()] {
        WORLDS.map(|world| world.name)
    }

    /// The facts that can show in what a build makes, and whether they hold.
    pub fn facts(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let world = *self;
        FACTS.into_iter().map(move |(fact, holds)| (fact, holds(&world)))
    }

    /// What differs between two worlds and can show in what a build makes.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        FACTS
            .iter()
            .filter_map(|(fact, holds)| {
                let (with, without) = match (holds(self), holds(other)) {
                    (true, false) => (self, other),
                    (false, true) => (other, self),
                    _ => return None,
                };
                Some(format!("{fact} in {} and not in {}", with.name, without.name))
            })
            .collect()
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_have_distinct_names_and_facts() {
        for (index, world) in WORLDS.iter().enumerate() {
            assert_eq!(World::by_name(world.name), Some(*world));
            assert!(world.differences(world).is_empty());
            for other in &WORLDS[index + 1..] {
                assert_ne!(world.name, other.name);
                assert!(!world.differences(other).is_empty(), "{world} {other}");
                assert_eq!(world.differences(other), other.differences(world));
            }
        }
        assert_eq!(World::by_name("nix-2.9"), None);
        assert_eq!(World::newest().name, *World::names().last().unwrap());
    }

    #[test]
    fn differences_name_both_sides() {
        let found = NIX_2_24.differences(&NIX_2_18);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found.contains(
                &"getxattr fails with ENOTSUP in nix-2.24 and not in nix-2.18".to_owned()
            )
        );
    }
}

//! Facts for tests: derivations with one output, contents that are nothing but
//! a number, claims that a trusted key has signed.

use std::collections::BTreeSet;

use super::claim::{Claim, Contents, Source, Standing};
use super::facts::{DerivationFacts, OutputFacts};
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;

/// The path of that name; all have one hash part.
pub fn path(name: &str) -> StorePath {
    StorePath::new([7; 20], name).unwrap()
}

/// The content number `seed`, which refers to nothing.
pub fn contents(seed: u8) -> Contents {
    Contents {
        nar_hash: NarHash::from_digest([seed; 32]),
        nar_size: 96,
        references: BTreeSet::new(),
    }
}

/// That a trusted key has signed the content number `seed` for the path `name`.
pub fn trusted(name: &str, seed: u8) -> Claim {
    Claim {
        source: Source::Cache("file:///c".into()),
        contrast: Vec::new(),
        path: path(name),
        contents: Some(contents(seed)),
        standing: Standing::Trusted { keys: vec!["k-1".into()] },
    }
}

/// The output called `name`, at the path of that name.
pub fn output(name: &str, ours: Contents, claims: Vec<Claim>) -> OutputFacts {
    OutputFacts {
        name: name.into(),
        path: Some(path(name)),
        ours: Some(ours),
        ca: None,
        claims,
        unlike: None,
    }
}

/// A target that was built, with one output `out` at the path `name`.
pub fn built(name: &str, ours: u8, claims: Vec<Claim>) -> DerivationFacts {
    let out = OutputFacts { path: Some(path(name)), ..output("out", contents(ours), claims) };
    DerivationFacts::target(path(&format!("{name}.drv")), vec![out])
}

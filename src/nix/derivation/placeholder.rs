//! What stands in a derivation for output paths that are not known yet.
//!
//! Follows `hashPlaceholder` and `downstreamPlaceholder` in
//! `src/libstore/derivations.cc`.

use std::collections::BTreeMap;

use super::paths::{name_of, output_path_name};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::store_path::StorePath;

/// What stands for a derivation's own output `name`.
#[must_use]
pub fn output_placeholder(name: &str) -> String {
    let text = format!("nix-output:{name}");
    format!("/{}", Hash::of(HashAlgorithm::Sha256, text.as_bytes()).nix32())
}

/// What stands for output `name` of the input derivation `drv_path`.
#[must_use]
pub fn downstream_placeholder(drv_path: &StorePath, name: &str) -> String {
    let drv_name = name_of(drv_path).unwrap_or_else(|| drv_path.name());
    let text = format!(
        "nix-upstream-output:{}:{}",
        drv_path.hash_part(),
        output_path_name(drv_name, name)
    );
    format!("/{}", Hash::of(HashAlgorithm::Sha256, text.as_bytes()).nix32())
}

/// Texts to be replaced wherever they occur, as placeholders by paths
/// (`rewriteStrings`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrites(BTreeMap<Vec<u8>, Vec<u8>>);

impl Rewrites {
    /// Replaces `from` by `to`. An empty `from` is left out.
    pub fn insert(&mut self, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        let from = from.into();
        if !from.is_empty() {
            self.0.insert(from, to.into());
        }
    }

    /// Whether nothing is replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text` with all replacements made, one after the other in byte order.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for (from, to) in &self.0 {
            if let Some(replaced) = replace(&text, from, to) {
                text = replaced;
            }
        }
        text
    }
}

/// `None` if `from` does not occur.
fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    let first = from.first()?;
    let mut replaced: Option<Vec<u8>> = None;
    let mut rest = text;
    let mut kept = 0;
    // `rest` is what has not been searched, behind `kept` bytes that have.
    let mut pending = text;
    while let Some(step) = rest.iter().position(|byte| byte == first) {
        let (_, candidate) = rest.split_at(step);
        kept += step;
        if let Some(behind) = candidate.strip_prefix(from) {
            let out = replaced.get_or_insert_default();
            out.extend_from_slice(pending.get(..kept).unwrap_or_default());
            out.extend_from_slice(to);
            (rest, pending, kept) = (behind, behind, 0);
        } else {
            rest = candidate.get(1..).unwrap_or_default();
            kept += 1;
        }
    }
    if let Some(out) = &mut replaced {
        out.extend_from_slice(pending);
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example_of_an_own_output() {
        assert_eq!(
            output_placeholder("out"),
            "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"
        );
    }

    #[test]
    fn every_occurrence_is_replaced() {
        let mut rewrites = Rewrites::default();
        rewrites.insert("/ab", "/store/x");
        rewrites.insert("", "never");
        for (text, wanted) in [
            ("", ""),
            ("/a", "/a"),
            ("/ab", "/store/x"),
            ("//ab/ab/a/abc/", "//store/x/store/x/a/store/xc/"),
            ("no", "no"),
        ] {
            assert_eq!(rewrites.apply(text.as_bytes()), wanted.as_bytes(), "{text}");
        }
    }
}

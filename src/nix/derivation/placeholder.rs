//! What stands in a derivation for output paths that are not known yet.
//!
//! Follows `hashPlaceholder` and `downstreamPlaceholder` in
//! `src/libstore/derivations.cc`.

use std::collections::HashMap;

use super::paths::{name_of, output_path_name};
use crate::nix::hash::{Hash, HashAlgorithm};
use crate::nix::nix32;
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

/// Characters of a placeholder: a slash and a SHA-256 in Nix32.
pub const PLACEHOLDER_LEN: usize = 1 + nix32::encoded_len(32);

/// Placeholders and what stands in their place (`rewriteStrings`).
///
/// All are replaced in one pass. Nix makes a pass for each; that gives the
/// same, since a placeholder holds its only slash in front, so that two never
/// overlap and none arises where a store path was put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrites(HashMap<Vec<u8>, Vec<u8>>);

impl Rewrites {
    /// Replaces `placeholder` (see [`output_placeholder`] and
    /// [`downstream_placeholder`]) by `path`. Anything that is no placeholder
    /// is left alone.
    pub fn insert(&mut self, placeholder: impl Into<Vec<u8>>, path: impl Into<Vec<u8>>) {
        let placeholder = placeholder.into();
        let is_one = placeholder.len() == PLACEHOLDER_LEN
            && placeholder
                .split_first()
                .is_some_and(|(slash, hash)| *slash == b'/' && !hash.contains(&b'/'));
        if is_one {
            self.0.insert(placeholder, path.into());
        }
    }

    /// Whether nothing is replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any replacement would be made in `text`.
    #[must_use]
    pub fn occur_in(&self, text: &[u8]) -> bool {
        !self.is_empty()
            && text
                .windows(PLACEHOLDER_LEN)
                .any(|window| window.first() == Some(&b'/') && self.0.contains_key(window))
    }

    /// `text` with all replacements made.
    #[must_use]
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        // Everything up to the slash that may begin the next placeholder.
        while let Some(slash) = rest.iter().position(|&byte| byte == b'/') {
            let (before, candidate) = rest.split_at(slash);
            out.extend_from_slice(before);
            let found =
                candidate.get(..PLACEHOLDER_LEN).and_then(|placeholder| self.0.get(placeholder));
            let length = match found {
                Some(path) => {
                    out.extend_from_slice(path);
                    PLACEHOLDER_LEN
                }
                None => {
                    out.push(b'/');
                    1
                }
            };
            rest = candidate.get(length..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        out
    }
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
        let (out, dev) = (output_placeholder("out"), output_placeholder("dev"));
        rewrites.insert(out.as_str(), "/store/x");
        rewrites.insert(dev.as_str(), out.as_str());
        rewrites.insert("", "never");
        rewrites.insert("/ab", "never");
        for (text, wanted) in [
            (String::new(), String::new()),
            ("/ab".to_owned(), "/ab".to_owned()),
            (format!("/{out}{out}/a{out}bc/"), "//store/x/store/x/a/store/xbc/".to_owned()),
            (format!("{dev}."), format!("{out}.")),
            (out[..52].to_owned(), out[..52].to_owned()),
            (format!("{}{out}", &out[..40]), format!("{}/store/x", &out[..40])),
        ] {
            assert_eq!(rewrites.apply(text.as_bytes()), wanted.as_bytes(), "{text}");
            assert_eq!(rewrites.occur_in(text.as_bytes()), text != wanted, "{text}");
        }
    }
}

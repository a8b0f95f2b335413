//! The facts about a store object that a signature covers.
//!
//! Follows `ValidPathInfo::fingerprint` and `isContentAddressed` of
//! `src/libstore/path-info.cc`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::content_address::{ContentAddress, References};
use super::hash::NarHash;
use super::signature::{CheckedSignatures, SecretKey, Signature, TrustedKeys};
use super::store_path::{StoreDir, StorePath};

/// What a store object is: path, content and references. Exactly what is
/// signed; a deriver, a content address or a URL is not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathInfo {
    /// The store path.
    pub path: StorePath,
    /// The hash of its NAR.
    pub nar_hash: NarHash,
    /// The length of its NAR in bytes.
    pub nar_size: u64,
    /// The store paths it refers to, itself included if it does.
    pub references: BTreeSet<StorePath>,
}

impl PathInfo {
    /// The text that is signed:
    /// `1;<path>;sha256:<nix32>;<size>;<references, sorted, by comma>`.
    #[must_use]
    pub fn fingerprint(&self, store_dir: &StoreDir) -> String {
        self.fingerprint_over(store_dir, &self.references)
    }

    /// The same text over references in another order. Nix sorts them; what
    /// was signed before it did is good over the order in the file alone.
    #[must_use]
    pub fn fingerprint_over<'a>(
        &self,
        store_dir: &StoreDir,
        references: impl IntoIterator<Item = &'a StorePath>,
    ) -> String {
        let mut text =
            format!("1;{};{};{};", store_dir.full(&self.path), self.nar_hash, self.nar_size);
        for (index, path) in references.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{comma}{store_dir}/{path}");
        }
        text
    }

    /// Whether the path is what `ca` and the references make it, so that the
    /// path itself vouches for the content and no signature is needed.
    ///
    /// This compares paths only: that the NAR has the content `ca` names is
    /// for whoever holds the NAR to check.
    #[must_use]
    pub fn is_content_addressed_by(&self, ca: &ContentAddress, store_dir: &StoreDir) -> bool {
        let references = References::of(&self.path, &self.references);
        ca.store_path(store_dir, self.path.name(), &references)
            .is_ok_and(|computed| computed == self.path)
    }

    /// Judges signatures over these facts.
    #[must_use]
    pub fn check_signatures<'a>(
        &self,
        store_dir: &StoreDir,
        signatures: impl IntoIterator<Item = &'a Signature>,
        trusted: &TrustedKeys,
    ) -> CheckedSignatures {
        trusted.check(self.fingerprint(store_dir).as_bytes(), signatures)
    }

    /// Signs these facts.
    #[must_use]
    pub fn sign(&self, store_dir: &StoreDir, key: &SecretKey) -> Signature {
        key.sign(self.fingerprint(store_dir).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> PathInfo {
        PathInfo {
            path: "2dg1awilyjv984z7r8dnl0hfq5462z0b-hello".parse().unwrap(),
            nar_hash: NarHash::parse("185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs")
                .unwrap(),
            nar_size: 872,
            references: BTreeSet::new(),
        }
    }

    #[test]
    fn worked_example_of_section_6() {
        let dir = StoreDir::default();
        assert_eq!(
            hello().fingerprint(&dir),
            "1;/nix/store/2dg1awilyjv984z7r8dnl0hfq5462z0b-hello;sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs;872;"
        );
        let trusted =
            TrustedKeys::parse("test-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap();
        let signature: Signature = "test-1:H01QE8/ng/QTQM0jZEIlAUUtAFpF2leM69E/jzXinNGroxQmN8HAMdgwV1VdEL9nHzHs+Tl4yIkOPHwQcQdXCQ==".parse().unwrap();
        let checked = hello().check_signatures(&dir, [&signature], &trusted);
        assert_eq!((checked.good().len(), checked.bad().len()), (1, 0));
        let mut other = hello();
        other.nar_size += 1;
        let checked = other.check_signatures(&dir, [&signature], &trusted);
        assert_eq!((checked.good().len(), checked.bad().len()), (0, 1));
    }

    #[test]
    fn references_are_full_paths_joined_by_comma() {
        let mut info = hello();
        info.references.insert(info.path.clone());
        info.references.insert("00bgd045z0d4icpbc2yyz4gx48ak44la-a".parse().unwrap());
        let text = info.fingerprint(&StoreDir::new("/gnu/store").unwrap());
        assert!(text.ends_with(
            ";872;/gnu/store/00bgd045z0d4icpbc2yyz4gx48ak44la-a,/gnu/store/2dg1awilyjv984z7r8dnl0hfq5462z0b-hello"
        ));
    }

    #[test]
    fn content_addressed_only_if_the_path_recomputes() {
        let dir = StoreDir::default();
        let ca: ContentAddress =
            "fixed:r:sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs".parse().unwrap();
        assert!(hello().is_content_addressed_by(&ca, &dir));
        assert!(
            !hello().is_content_addressed_by(&ca, &StoreDir::new("/other/store").unwrap()),
            "the store directory is part of the path"
        );
        let mut other = hello();
        other.references.insert(other.path.clone());
        assert!(!other.is_content_addressed_by(&ca, &dir), "references are part of the path");
        let flat: ContentAddress = ca.to_string().replace("r:", "").parse().unwrap();
        assert!(!hello().is_content_addressed_by(&flat, &dir));
    }
}

//! A cache's answer, read: a claim with its standing, or a finding.

use super::claim::{Claim, Contents, Source, Standing};
use super::rules;
use crate::check::Finding;
use crate::nix::narinfo::NarInfo;
use crate::nix::signature::TrustedKeys;
use crate::nix::store_path::{StoreDir, StorePath};

/// A narinfo that is well-formed and about the path asked for.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What it claims and how much that weighs.
    pub claim: Claim,
    /// All of it, unsigned hints too.
    pub narinfo: NarInfo,
}

/// Reads what `source` answered when it was asked for `asked`.
///
/// # Errors
/// A finding, if the answer is malformed or about another path: neither is a
/// claim about anything.
pub fn read_answer(
    bytes: &[u8],
    asked: &StorePath,
    source: &Source,
    store_dir: &StoreDir,
    keys: &TrustedKeys,
) -> Result<Answer, Box<Finding>> {
    let subject = store_dir.full(asked);
    let narinfo = NarInfo::parse(bytes, store_dir).map_err(|error| {
        let message = format!("{source} serves a malformed narinfo: {error}");
        Box::new(Finding::new(&rules::MALFORMED_NARINFO, subject.clone(), message))
    })?;
    if narinfo.store_path != *asked {
        let message = format!("{source} answers with the narinfo of another store path");
        let finding = Finding::new(&rules::FOREIGN_NARINFO, subject, message)
            .with("asked for", store_dir.full(asked))
            .with("answered", store_dir.full(&narinfo.store_path));
        return Err(Box::new(finding));
    }
    let standing = Standing::of_narinfo(&narinfo.verify(store_dir, keys));
    let contents = Some(Contents {
        nar_hash: narinfo.nar_hash,
        nar_size: narinfo.nar_size,
        references: narinfo.reference_set(),
    });
    let claim = Claim {
        source: source.clone(),
        path: asked.clone(),
        contents,
        standing,
        contrast: Vec::new(),
    };
    Ok(Answer { claim, narinfo })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nix::signature::SecretKey;

    fn key(seed: u8, name: &str) -> SecretKey {
        SecretKey::from_seed(name.parse().unwrap(), &[seed; 32])
    }

    fn trusted() -> TrustedKeys {
        TrustedKeys::parse(&key(1, "k-1").public_key().to_string()).unwrap()
    }

    fn narinfo() -> NarInfo {
        let text = b"StorePath: /nix/store/2dg1awilyjv984z7r8dnl0hfq5462z0b-hello\nURL: nar/x.nar\nCompression: none\n\
            NarHash: sha256:185aik5mfalmyqczri5l59yqnvvixyys6gxjcp51wkakq7vh7rbs\nNarSize: 872\nReferences: \n";
        NarInfo::parse(text, &StoreDir::default()).unwrap()
    }

    fn read(narinfo: &NarInfo, asked: &StorePath) -> Result<Answer, Box<Finding>> {
        let dir = StoreDir::default();
        let source = Source::Cache("file:///c".into());
        read_answer(narinfo.to_text(&dir).as_bytes(), asked, &source, &dir, &trusted())
    }

    fn standing_of(keys: &[SecretKey]) -> Standing {
        let mut info = narinfo();
        for key in keys {
            info.sign(&StoreDir::default(), key);
        }
        read(&info, &info.store_path).unwrap().claim.standing
    }

    #[test]
    fn signatures_decide_the_standing() {
        let good = || key(1, "k-1");
        let forged = || key(2, "k-1");
        let unknown = || key(3, "k-2");
        let names = |name: &str| vec![name.to_owned()];
        assert_eq!(standing_of(&[]), Standing::Untrusted { unknown_keys: vec![] });
        assert_eq!(standing_of(&[unknown()]), Standing::Untrusted { unknown_keys: names("k-2") });
        assert_eq!(standing_of(&[good()]), Standing::Trusted { keys: names("k-1") });
        assert_eq!(standing_of(&[unknown(), good()]), Standing::Trusted { keys: names("k-1") });
        assert_eq!(standing_of(&[forged()]), Standing::Forged { keys: names("k-1") });
        assert_eq!(standing_of(&[good(), forged()]), Standing::Forged { keys: names("k-1") });
    }

    #[test]
    fn another_path_is_no_answer() {
        let asked = "2dg1awilyjv984z7r8dnl0hfq5462z0b-other".parse().unwrap();
        assert_eq!(read(&narinfo(), &asked).unwrap_err().rule.id, "foreign-narinfo");
    }

    #[test]
    fn malformed_is_a_finding() {
        let dir = StoreDir::default();
        let source = Source::Cache("file:///c".into());
        let found = read_answer(b"x", &narinfo().store_path, &source, &dir, &trusted());
        assert_eq!(found.unwrap_err().rule.id, "malformed-narinfo");
    }
}

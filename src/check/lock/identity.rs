//! Which repository a reference names, whatever the notation.

use crate::nix::flake_ref::FlakeRef;

/// A repository or address, in one notation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(String);

impl Identity {
    /// Of a reference; `None` for what names none.
    #[must_use]
    pub fn of(reference: FlakeRef<'_>) -> Option<Self> {
        let kind = reference.kind();
        Some(Self(match kind {
            "github" | "gitlab" | "sourcehut" => {
                let (owner, repo) = reference.owner_and_repo()?;
                format!("{}/{owner}/{repo}", reference.host()?).to_ascii_lowercase()
            }
            "git" | "hg" => {
                let url = reference.url()?;
                let path = url.path.trim_end_matches('/');
                let path = path.strip_suffix(".git").unwrap_or(path);
                let host = url.host.to_ascii_lowercase();
                // Its submodules and files of LFS make another tree of it.
                let with: String = ["submodules", "lfs"]
                    .iter()
                    .filter(|name| reference.switch(name))
                    .map(|name| format!("+{name}"))
                    .collect();
                let forge = ["github.com", "gitlab.com", "git.sr.ht"].contains(&host.as_str());
                let place = if forge { path.to_ascii_lowercase() } else { path.to_owned() };
                format!("git:{host}{place}{with}")
            }
            "tarball" | "file" => {
                let url = reference.url()?;
                let host = url.host.to_ascii_lowercase();
                if host.ends_with("flakehub.com") {
                    let (owner, repo) = reference.owner_and_repo()?;
                    format!("flakehub.com/{owner}/{repo}").to_ascii_lowercase()
                } else {
                    format!("{kind}:{host}{}", url.path)
                }
            }
            _ => return None,
        }))
    }
}

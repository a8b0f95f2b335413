//! Names to addresses, with the check between them: the connection is made to
//! the very addresses that were checked, so that a name cannot point elsewhere
//! a moment later.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long an answer is used again; names of caches behind load balancers
/// change within minutes.
const KEEP: Duration = Duration::from_secs(60);

/// Most names kept; more only come from a long list of source URLs.
const MAX_NAMES: usize = 4096;

/// Asks the system for the addresses of a host, for at most `patience`; other
/// requests go on meanwhile.
///
/// # Errors
/// What the system says, or that it said nothing in time.
pub async fn lookup(host: &str, patience: Duration) -> io::Result<Vec<IpAddr>> {
    let (sender, receiver) = oneshot::channel();
    let name = host.to_owned();
    // The system's resolver cannot be told to stop; if it takes too long the
    // thread ends by itself later.
    std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let addresses = (name.as_str(), 0)
            .to_socket_addrs()
            .map(|addresses| addresses.map(|address| address.ip()).collect::<Vec<_>>());
        let _ = sender.send(addresses);
    })?;
    match timeout(patience, receiver).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(_)) | Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the resolver did not answer within {} s", patience.as_secs_f64()),
        )),
    }
}

/// Addresses that passed the check, by host.
#[derive(Debug, Default)]
pub struct Checked(Mutex<BTreeMap<String, Entry>>);

#[derive(Debug)]
struct Entry {
    addresses: Vec<IpAddr>,
    since: Instant,
}

impl Checked {
    /// Whether there is a recent answer for `host`.
    pub fn is_fresh(&self, host: &str) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(host).is_some_and(|entry| entry.since.elapsed() < KEEP)
    }

    /// Keeps addresses that passed the check.
    pub fn keep(&self, host: &str, addresses: Vec<IpAddr>) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MAX_NAMES {
            names.retain(|_, entry| entry.since.elapsed() < KEEP);
        }
        names.insert(host.to_owned(), Entry { addresses, since: Instant::now() });
    }

    /// The addresses kept for `host`, however old: they were checked, and only
    /// a request that was let through asks for them.
    pub fn find(&self, host: &str) -> Option<Vec<SocketAddr>> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = names.get(host)?;
        Some(entry.addresses.iter().map(|address| SocketAddr::new(*address, 0)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_knows_this_machine() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asked = async { lookup("localhost", Duration::from_secs(10)).await };
        let addresses = runtime.block_on(asked).unwrap();
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(!addresses.is_empty());
    }

    #[test]
    fn only_what_was_kept_is_found() {
        let checked = Checked::default();
        assert!(!checked.is_fresh("a"));
        assert_eq!(checked.find("a"), None);
        checked.keep("a", vec![IpAddr::from([192, 0, 2, 1])]);
        assert!(checked.is_fresh("a"));
        assert_eq!(checked.find("a"), Some(vec![SocketAddr::from(([192, 0, 2, 1], 0))]));
        assert_eq!(checked.find("b"), None);
    }
}

//! Lanes: a thread's own connections, and the runtime that drives them.
//!
//! A request is driven by the thread that waits for it, so that nothing is
//! handed from thread to thread. Whoever makes requests takes a lane and puts
//! it back afterwards, with its connections kept alive for the next one.

use std::cell::OnceCell;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::{Builder, Runtime};
use url::Url;

use crate::gather::http::error::Failure;
use crate::gather::http::request::HttpOptions;
use crate::gather::http::resolve::Checked;
use crate::gather::http::tls::{trusting, trusting_nobody};
use crate::gather::http::url_guard::Zone;
use crate::gather::http::wire::{Wire, WireOptions};

/// Connections without and with TLS.
type Pair = [OnceCell<Result<Wire, String>>; 2];

/// All lanes of a client.
#[derive(Default)]
pub(in crate::gather) struct Lanes {
    idle: Mutex<Vec<Lane>>,
    /// What addresses passed the check, by zone.
    checked: [Arc<Checked>; Zone::ALL.len()],
    /// Made when the first TLS server is asked: reading a system's
    /// certificate authorities takes milliseconds.
    tls: OnceLock<Result<rustls::ClientConfig, String>>,
}

/// Connections of one thread.
pub(in crate::gather) struct Lane {
    /// One set of connections for each zone, so that a connection made for
    /// the user is never used for a redirect.
    zones: [Pair; Zone::ALL.len()],
    runtime: Runtime,
}

/// A lane in use; it goes back when this is dropped.
pub(in crate::gather) struct Borrowed {
    lane: Option<Lane>,
    lanes: Arc<Lanes>,
}

impl Lanes {
    /// A lane that nobody uses.
    pub(in crate::gather) fn take(self: &Arc<Self>) -> Result<Borrowed, Failure> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let lane = match idle {
            Some(lane) => lane,
            None => {
                let runtime = Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| Failure::Setup(error.to_string()))?;
                Lane { zones: Default::default(), runtime }
            }
        };
        Ok(Borrowed { lane: Some(lane), lanes: Arc::clone(self) })
    }

    fn slot(zone: Zone) -> Option<usize> {
        Zone::ALL.iter().position(|known| *known == zone)
    }

    /// The addresses that passed the check for `zone`.
    pub(in crate::gather) fn checked(&self, zone: Zone) -> Option<&Arc<Checked>> {
        self.checked.get(Self::slot(zone)?)
    }

    fn tls(&self, options: &HttpOptions) -> Result<rustls::ClientConfig, String> {
        let own = options.ca_certificates.as_deref();
        self.tls.get_or_init(|| trusting(own)).clone()
    }
}

impl Lane {
    /// Does what `work` does and lets connections make progress meanwhile.
    pub(in crate::gather) fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(work)
    }
}

impl Borrowed {
    /// The connections to use for `url` from `zone`.
    pub(in crate::gather) fn wire(
        &self,
        url: &Url,
        zone: Zone,
        options: &HttpOptions,
    ) -> Result<&Wire, Failure> {
        let proxy = options.proxies.for_url(url);
        let secure = url.scheme() == "https" || proxy.is_some_and(|url| url.scheme() == "https");
        let slot = Lanes::slot(zone)
            .and_then(|slot| self.zones.get(slot))
            .and_then(|pair| pair.get(usize::from(secure)));
        let (Some(slot), Some(checked)) = (slot, self.lanes.checked(zone)) else {
            return Err(Failure::Setup("unknown zone".to_owned()));
        };
        let wire = slot.get_or_init(|| {
            let tls = if secure { self.lanes.tls(options) } else { trusting_nobody() }?;
            Wire::new(WireOptions {
                checked: Arc::clone(checked),
                proxies: options.proxies.clone(),
                patience: &options.patience,
                tls,
            })
        });
        wire.as_ref().map_err(|message| Failure::Setup(message.clone()))
    }
}

impl Deref for Borrowed {
    type Target = Lane;

    #[expect(clippy::expect_used, reason = "the lane is there until this is dropped")]
    fn deref(&self) -> &Lane {
        self.lane.as_ref().expect("a lane that is borrowed")
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut idle = self.lanes.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.extend(self.lane.take());
    }
}

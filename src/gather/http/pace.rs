//! How many requests are open at once: more while a server answers as fast as
//! it does when it is idle, fewer when answers take longer or fail.
//!
//! A server far away needs a hundred requests in flight to give a thousand
//! answers a second; one with five workers gains nothing from them.

use std::time::Duration;

/// Requests open at first, as many as Nix has connections (`http-connections`
/// is 25).
const BEGIN: usize = 24;

/// Most requests open at once over all lanes to one cache: a thousand answers
/// a second at 100 ms each, with something to spare for pauses.
const MOST: usize = 192;

/// More answers a millisecond than can be parsed and verified here: a server
/// nearby needs no more requests open than these take, and connections cost
/// both sides.
const USEFUL: u32 = 8;

/// Fewest, however many fail.
const LEAST: usize = 2;

/// Within so much of the shortest answer time, the server is not busy.
const JITTER: Duration = Duration::from_millis(5);

/// The pace of one lane.
#[derive(Debug)]
pub(in crate::gather) struct Pace {
    /// How many lanes share the bounds.
    lanes: usize,
    limit: usize,
    shortest: Duration,
}

impl Pace {
    /// The pace of one of so many lanes to one cache. `unknown` servers are
    /// asked once first: they may turn out to speak HTTP/2, and then all
    /// requests share a connection that is better made only once.
    pub(in crate::gather) fn new(lanes: usize, unknown: bool) -> Self {
        let lanes = lanes.max(1);
        let limit = if unknown { 1 } else { BEGIN.div_ceil(lanes) };
        Self { lanes, limit, shortest: Duration::MAX }
    }

    /// How many requests may be open.
    pub(in crate::gather) const fn limit(&self) -> usize {
        self.limit
    }

    /// The most that may be open, from the shortest answer time.
    fn most(&self) -> usize {
        let useful = self.shortest.saturating_mul(USEFUL).as_millis();
        usize::try_from(useful).unwrap_or(MOST).clamp(BEGIN, MOST).div_ceil(self.lanes)
    }

    /// Takes into account that an answer took so long, or that there was none.
    pub(in crate::gather) fn learn(&mut self, took: Duration, failed: bool) {
        if failed {
            self.limit = (self.limit / 2).max(LEAST);
            return;
        }
        self.shortest = self.shortest.min(took);
        let begin = BEGIN.div_ceil(self.lanes);
        let idle = self.shortest.saturating_mul(2).saturating_add(JITTER);
        let busy = self.shortest.saturating_mul(4).saturating_add(JITTER.saturating_mul(4));
        if took <= idle {
            // One more for each answer: twice as many for each round trip.
            self.limit = self.limit.saturating_add(1).min(self.most());
        } else if took > busy && self.limit > begin {
            self.limit = self.limit.saturating_sub(1);
        }
        if self.limit < begin && self.shortest == took {
            self.limit = begin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Answers in rounds of `limit`, each taking what `server` says.
    fn rounds(pace: &mut Pace, count: usize, server: impl Fn(usize) -> Duration) {
        for _ in 0..count {
            let open = pace.limit();
            (0..open).for_each(|_| pace.learn(server(open), false));
        }
    }

    #[test]
    fn far_servers_get_many_requests_soon() {
        let mut pace = Pace::new(2, true);
        assert_eq!(pace.limit(), 1);
        rounds(&mut pace, 1, |_| MS * 100);
        assert_eq!(pace.limit(), BEGIN / 2);
        rounds(&mut pace, 3, |_| MS * 100);
        assert_eq!(pace.limit(), MOST / 2);
        rounds(&mut pace, 9, |_| MS * 130);
        assert_eq!(pace.limit(), MOST / 2);
    }

    #[test]
    fn servers_nearby_get_few_connections() {
        let mut pace = Pace::new(2, false);
        rounds(&mut pace, 50, |_| MS);
        assert_eq!(pace.limit(), BEGIN / 2);
        rounds(&mut pace, 50, |_| MS / 2);
        assert_eq!(pace.limit(), BEGIN / 2);
        let mut pace = Pace::new(2, false);
        rounds(&mut pace, 50, |_| MS * 10);
        assert_eq!(pace.limit(), 40);
    }

    #[test]
    fn servers_with_few_workers_get_few_requests() {
        let mut pace = Pace::new(1, false);
        // Five workers of 40 ms each: more requests only wait.
        let server = |open: usize| MS * 40 * u32::try_from(open.div_ceil(5)).unwrap();
        pace.learn(MS * 40, false);
        rounds(&mut pace, 20, server);
        assert_eq!(pace.limit(), BEGIN);
    }

    #[test]
    fn failures_slow_down_and_answers_speed_up_again() {
        let mut pace = Pace::new(1, false);
        rounds(&mut pace, 4, |_| MS * 50);
        (0..20).for_each(|_| pace.learn(MS, true));
        assert_eq!(pace.limit(), LEAST);
        rounds(&mut pace, 5, |_| MS * 60);
        assert!(pace.limit() >= BEGIN, "{}", pace.limit());
    }
}

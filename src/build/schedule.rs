//! Running work along a graph: everything whose needs are met runs, on a
//! bounded number of threads, the longest chains first.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A graph: each node with the nodes that must be finished before it.
pub type Needs<K> = BTreeMap<K, BTreeSet<K>>;

/// What [`run`] brought to an end.
#[derive(Debug)]
pub struct Finished<K, R> {
    /// The result of every node that was run.
    pub results: BTreeMap<K, R>,
    /// Nodes that could not be run because they need one another.
    pub cyclic: BTreeSet<K>,
}

struct Progress<K, R> {
    /// Nodes whose needs are met, by what hangs on them: the last comes first.
    ready: BTreeSet<(usize, K)>,
    /// How many needs of each node are not met yet.
    open: BTreeMap<K, usize>,
    running: usize,
    results: BTreeMap<K, R>,
}

/// Runs `work` once for every node of `needs`, each after all it needs, with
/// at most `workers` at a time. Needs that are no nodes themselves count as
/// met. Nodes on a cycle, and what needs them, are not run.
pub fn run<K, R>(
    needs: &Needs<K>,
    workers: NonZeroUsize,
    work: impl Fn(&K) -> R + Sync,
) -> Finished<K, R>
where
    K: Ord + Clone + Send + Sync,
    R: Send,
{
    let mut needed_by: BTreeMap<&K, Vec<&K>> = BTreeMap::new();
    let mut open = BTreeMap::new();
    for (node, all) in needs {
        let within = all.iter().filter(|need| needs.contains_key(need));
        open.insert(node.clone(), within.clone().count());
        for need in within {
            needed_by.entry(need).or_default().push(node);
        }
    }
    let weights = chain_lengths(needs, &needed_by, &open);
    let weight = |node: &K| weights.get(node).copied().unwrap_or(0);
    let ready = open
        .iter()
        .filter(|&(_, &count)| count == 0)
        .map(|(node, _)| (weight(node), node.clone()))
        .collect();

    let progress = Mutex::new(Progress { ready, open, running: 0, results: BTreeMap::new() });
    let changed = Condvar::new();
    let worker = || {
        let mut state = lock(&progress);
        loop {
            let Some((_, node)) = state.ready.pop_last() else {
                if state.running == 0 {
                    return;
                }
                state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state.running += 1;
            drop(state);
            let running = Running { progress: &progress, changed: &changed };
            let result = work(&node);
            state = lock(&progress);
            // Under one lock with what becomes ready, else others may leave.
            std::mem::forget(running);
            state.running -= 1;
            for &next in needed_by.get(&node).into_iter().flatten() {
                if let Some(count) = state.open.get_mut(next) {
                    *count -= 1;
                    if *count == 0 {
                        state.ready.insert((weight(next), next.clone()));
                    }
                }
            }
            state.results.insert(node, result);
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers.get().min(needs.len().max(1)) {
            scope.spawn(worker);
        }
        worker();
    });

    let results = progress.into_inner().unwrap_or_else(PoisonError::into_inner).results;
    let cyclic = needs.keys().filter(|node| !results.contains_key(node)).cloned().collect();
    Finished { results, cyclic }
}

/// Takes one node off the running ones when a panic ends it, so that nobody
/// waits for a worker that is gone.
struct Running<'a, K, R> {
    progress: &'a Mutex<Progress<K, R>>,
    changed: &'a Condvar,
}

impl<K, R> Drop for Running<'_, K, R> {
    fn drop(&mut self) {
        lock(self.progress).running -= 1;
        self.changed.notify_all();
    }
}

/// The lock, even when a worker panicked while it held it: the panic itself is
/// passed on when the scope ends.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For each node the length of the longest chain of nodes that wait for it.
fn chain_lengths<'a, K: Ord>(
    needs: &'a Needs<K>,
    needed_by: &BTreeMap<&'a K, Vec<&'a K>>,
    open: &BTreeMap<K, usize>,
) -> BTreeMap<&'a K, usize> {
    // Nodes in an order in which needs come first, then their lengths backwards.
    let mut left: BTreeMap<&K, usize> = open.iter().map(|(node, &count)| (node, count)).collect();
    let mut order: Vec<&K> = needs.keys().filter(|node| left.get(node) == Some(&0)).collect();
    let mut position = 0;
    while let Some(&node) = order.get(position) {
        position += 1;
        for &next in needed_by.get(node).into_iter().flatten() {
            if let Some(count) = left.get_mut(next) {
                *count -= 1;
                if *count == 0 {
                    order.push(next);
                }
            }
        }
    }
    let mut lengths: BTreeMap<&K, usize> = BTreeMap::new();
    for node in order.into_iter().rev() {
        let waiting = needed_by.get(node).into_iter().flatten();
        let longest = waiting.filter_map(|next| lengths.get(next)).max();
        lengths.insert(node, longest.map_or(0, |length| length + 1));
    }
    lengths
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    fn needs(edges: &[(u32, &[u32])]) -> Needs<u32> {
        edges.iter().map(|(node, needs)| (*node, needs.iter().copied().collect())).collect()
    }

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn every_node_runs_once_after_its_needs() {
        let graph = needs(&[(1, &[]), (2, &[1]), (3, &[1, 99]), (4, &[2, 3]), (5, &[4]), (6, &[])]);
        for count in 1..5 {
            let order = Mutex::new(Vec::new());
            let finished = run(&graph, workers(count), |&node| {
                order.lock().unwrap().push(node);
                node * 10
            });
            assert_eq!(
                finished.results,
                [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50), (6, 60)].into()
            );
            assert!(finished.cyclic.is_empty());
            let order = order.into_inner().unwrap();
            for (node, all) in &graph {
                let at = |wanted: &u32| order.iter().position(|x| x == wanted);
                assert!(all.iter().all(|need| at(need) < at(node)), "{order:?}");
            }
        }
    }

    #[test]
    fn cycles_are_named_and_do_not_hang() {
        let graph = needs(&[(1, &[]), (2, &[3]), (3, &[2]), (4, &[3])]);
        let finished = run(&graph, workers(3), |_| ());
        assert_eq!(finished.cyclic, [2, 3, 4].into());
        assert_eq!(finished.results.len(), 1);
    }

    #[test]
    fn no_more_than_the_workers_run_at_a_time() {
        let graph: Needs<u32> = (0..40).map(|node| (node, BTreeSet::new())).collect();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(&graph, workers(3), |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
            now.fetch_sub(1, Ordering::SeqCst);
        });
        assert!((2..=3).contains(&most.into_inner()));
    }

    #[test]
    fn the_longest_chain_comes_first() {
        let graph = needs(&[(1, &[]), (2, &[]), (3, &[2]), (4, &[3])]);
        let order = Mutex::new(Vec::new());
        run(&graph, workers(1), |&node| order.lock().unwrap().push(node));
        assert_eq!(order.into_inner().unwrap(), [2, 3, 4, 1]);
    }

    #[test]
    fn a_panic_is_passed_on() {
        let graph = needs(&[(1, &[]), (2, &[1])]);
        for count in 1..3 {
            let panicked =
                std::panic::catch_unwind(|| run(&graph, workers(count), |_| panic!("boom")));
            assert!(panicked.is_err());
        }
    }
}

//! Leaving out edges that follow from others.
#![expect(
    clippy::indexing_slicing,
    reason = "every index was made by counting the very nodes that the vectors are as long as"
)]

use std::collections::BTreeSet;

/// Places in a word of a set.
const WORD: usize = 64;

/// The nodes in an order in which edges go forward. Of a circle, which no graph
/// of derivations has, some edges go backward.
pub(super) fn order(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut open = vec![0_usize; count];
    let mut next = vec![Vec::new(); count];
    for &(from, to) in edges {
        open[to] += 1;
        next[from].push(to);
    }
    let mut ready: BTreeSet<usize> = (0..count).filter(|node| open[*node] == 0).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for &to in &next[node] {
            open[to] -= 1;
            if open[to] == 0 {
                ready.insert(to);
            }
        }
    }
    let placed: BTreeSet<usize> = order.iter().copied().collect();
    order.extend((0..count).filter(|node| !placed.contains(node)));
    order
}

/// The edges without those for which there is another way round, sorted;
/// those that go backward on a circle are left out.
pub(super) fn reduce(count: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let known = edges.iter().copied().filter(|(from, to)| *from < count && *to < count);
    let edges: BTreeSet<(usize, usize)> = known.filter(|(from, to)| from != to).collect();
    let edges: Vec<(usize, usize)> = edges.into_iter().collect();
    let order = order(count, &edges);
    let mut place = vec![0_usize; count];
    for (at, node) in order.iter().enumerate() {
        place[*node] = at;
    }
    let mut below = vec![Vec::new(); count];
    for &(from, to) in edges.iter().filter(|(from, to)| place[*from] < place[*to]) {
        below[to].push(from);
    }
    let words = count.div_ceil(WORD);
    let mut reached: Vec<Vec<u64>> = vec![Vec::new(); count];
    let mut kept = Vec::new();
    for &node in &order {
        // What is near reaches most of what is farther away.
        below[node].sort_unstable_by_key(|from| std::cmp::Reverse(place[*from]));
        let mut all = vec![0_u64; words];
        for &from in &below[node] {
            if all[from / WORD] >> (from % WORD) & 1 == 0 {
                kept.push((from, node));
                all[from / WORD] |= 1 << (from % WORD);
                for (word, other) in all.iter_mut().zip(&reached[from]) {
                    *word |= other;
                }
            }
        }
        reached[node] = all;
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_left_out() {
        for (edges, wanted) in [
            (vec![(0, 1), (1, 2), (0, 2)], vec![(0, 1), (1, 2)]),
            (vec![(0, 1), (0, 1), (1, 1)], vec![(0, 1)]),
            (vec![(0, 2), (1, 2), (2, 3), (0, 3), (1, 3)], vec![(0, 2), (1, 2), (2, 3)]),
            (vec![(0, 9)], vec![]),
        ] {
            assert_eq!(reduce(4, &edges), wanted, "{edges:?}");
        }
    }

    #[test]
    fn what_is_reached_stays_the_same() {
        let reach = |edges: &[(usize, usize)], from: usize| {
            let mut seen = BTreeSet::from([from]);
            let mut open = vec![from];
            while let Some(node) = open.pop() {
                for &(a, b) in edges {
                    if a == node && seen.insert(b) {
                        open.push(b);
                    }
                }
            }
            seen
        };
        let mut random = fastrand::Rng::with_seed(7);
        for count in [2, 10, 70, 130] {
            let edges: Vec<(usize, usize)> = (0..count * 4)
                .map(|_| (random.usize(..count), random.usize(..count)))
                .filter(|(from, to)| from < to)
                .collect();
            let reduced = reduce(count, &edges);
            for from in 0..count {
                assert_eq!(reach(&edges, from), reach(&reduced, from));
            }
            for skip in 0..reduced.len() {
                let (from, to) = reduced[skip];
                let mut fewer = reduced.clone();
                fewer.remove(skip);
                assert!(!reach(&fewer, from).contains(&to), "{from} {to} is not needed");
            }
        }
    }

    #[test]
    fn circles_end() {
        assert_eq!(reduce(3, &[(0, 1), (1, 2), (2, 0)]).len(), 2);
    }
}

//! Where nodes and edges go: in columns, sources at the left, targets at the
//! right, with few crossings.
//!
//! The usual way (Sugiyama): every node gets a column by the longest way to it;
//! edges across several columns get a place in each; the order within columns
//! follows the mean place of the neighbours, back and forth; then everything
//! moves as near to its neighbours as the order allows. Only sums, products
//! and comparisons: the same picture on every machine.
#![expect(
    clippy::indexing_slicing,
    reason = "every index was made by counting the very items that the vectors are as long as"
)]

use super::reduce::order;

/// Height of a box.
pub(super) const HEIGHT: f64 = 18.0;

/// Space between two boxes of a column.
const GAP: f64 = 6.0;

/// Height that a passing edge takes.
const LANE: f64 = 5.0;

/// Space between columns, where edges turn.
const TURN: f64 = 70.0;

/// Sweeps to find an order with few crossings; it settles long before.
const ORDER_SWEEPS: usize = 24;

/// Sweeps to move everything near its neighbours.
const PLACE_SWEEPS: usize = 12;

/// Places of passing edges, above which edges are drawn straight instead.
const MAX_LANES: usize = 400_000;

/// How much a passing edge insists on going straight, beside a box.
const LANE_WEIGHT: f64 = 4.0;

/// A point of the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    /// To the right.
    pub(super) x: f64,
    /// Downwards.
    pub(super) y: f64,
}

/// Where everything goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Placed {
    /// The upper left corner of each node.
    pub(super) nodes: Vec<Point>,
    /// Each edge: from one column to the next, across it, on to the next.
    pub(super) edges: Vec<Vec<Point>>,
    /// The size of it all.
    pub(super) width: f64,
    pub(super) height: f64,
}

/// A count as a length.
pub(super) fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// A box or the passing of an edge, in its column.
#[derive(Debug, Clone)]
struct Item {
    column: usize,
    is_node: bool,
    before: Vec<usize>,
    after: Vec<usize>,
}

/// Places nodes of those widths. The edges go forward in some order.
pub(super) fn layout(widths: &[f64], edges: &[(usize, usize)]) -> Placed {
    if widths.is_empty() {
        return Placed::default();
    }
    let column = columns(widths.len(), edges);
    let count = column.iter().copied().max().unwrap_or(0) + 1;
    let mut items: Vec<Item> = column
        .iter()
        .map(|column| Item { column: *column, is_node: true, before: vec![], after: vec![] })
        .collect();
    let spans = edges.iter().map(|(from, to)| column[*to].saturating_sub(column[*from] + 1));
    let straight = spans.sum::<usize>() > MAX_LANES;
    let mut lanes: Vec<Vec<usize>> = Vec::with_capacity(edges.len());
    for &(from, to) in edges {
        let mut lane = vec![from];
        let between = if straight { 0..0 } else { column[from] + 1..column[to] };
        for column in between {
            items.push(Item { column, is_node: false, before: vec![], after: vec![] });
            lane.push(items.len() - 1);
        }
        lane.push(to);
        for pair in lane.windows(2) {
            // Only neighbouring columns pull at each other.
            if items[pair[0]].column + 1 == items[pair[1]].column {
                items[pair[0]].after.push(pair[1]);
                items[pair[1]].before.push(pair[0]);
            }
        }
        lanes.push(lane);
    }
    let layers = arrange(&items, count);
    let y = places(&items, &layers);

    let mut lefts = Vec::with_capacity(count);
    let mut rights = Vec::with_capacity(count);
    let mut x = 0.0;
    for layer in &layers {
        let nodes = layer.iter().filter(|item| items[**item].is_node);
        let width = nodes.map(|item| widths[*item]).fold(0.0, f64::max);
        lefts.push(x);
        rights.push(x + width);
        x += width + TURN;
    }
    let edges = lanes.iter().map(|lane| line(lane, &items, widths, &y, &lefts, &rights)).collect();
    let nodes = (0..widths.len())
        .map(|node| Point { x: lefts[items[node].column], y: y[node] - HEIGHT / 2.0 })
        .collect();
    let height = y.iter().copied().fold(0.0, f64::max) + HEIGHT / 2.0;
    Placed { nodes, edges, width: x - TURN, height }
}

/// An edge, point by point.
fn line(
    lane: &[usize],
    items: &[Item],
    widths: &[f64],
    y: &[f64],
    lefts: &[f64],
    rights: &[f64],
) -> Vec<Point> {
    let mut line = Vec::with_capacity(lane.len() * 2);
    for (at, &item) in lane.iter().enumerate() {
        let column = items[item].column;
        let y = y[item];
        if at > 0 {
            line.push(Point { x: lefts[column], y });
        }
        if at == 0 {
            line.push(Point { x: lefts[column] + widths[item], y });
        } else if at + 1 < lane.len() {
            line.push(Point { x: rights[column], y });
        }
    }
    line
}

/// The column of each node: as far right as what builds on it allows, but what
/// nothing builds on as far left as it can be.
fn columns(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let order = order(count, edges);
    let (mut before, mut after) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for &(from, to) in edges {
        before[to].push(from);
        after[from].push(to);
    }
    let mut column = vec![0_usize; count];
    for &node in &order {
        column[node] = before[node].iter().map(|from| column[*from] + 1).max().unwrap_or(0);
    }
    for &node in order.iter().rev() {
        if let Some(next) = after[node].iter().map(|to| column[*to]).min() {
            column[node] = next.saturating_sub(1).max(column[node]);
        }
    }
    column
}

/// The items of each column, in an order with few crossings.
fn arrange(items: &[Item], count: usize) -> Vec<Vec<usize>> {
    let mut layers = vec![Vec::new(); count];
    for (at, item) in items.iter().enumerate() {
        layers[item.column].push(at);
    }
    let mut place = vec![0.0; items.len()];
    let number = |layers: &[Vec<usize>], place: &mut [f64]| {
        for layer in layers {
            for (at, item) in layer.iter().enumerate() {
                place[*item] = real(at);
            }
        }
    };
    number(&layers, &mut place);
    let mut best = (crossings(items, &layers, &place), layers.clone());
    for sweep in 0..ORDER_SWEEPS {
        if best.0 == 0 {
            break;
        }
        let forward = sweep % 2 == 0;
        let columns: Vec<usize> =
            if forward { (0..count).collect() } else { (0..count).rev().collect() };
        for column in columns {
            let near =
                |item: &usize| if forward { &items[*item].before } else { &items[*item].after };
            let mut keyed: Vec<(f64, usize)> = layers[column]
                .iter()
                .map(|item| (mean(near(item), &place).unwrap_or(place[*item]), *item))
                .collect();
            keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
            layers[column] = keyed.into_iter().map(|(_, item)| item).collect();
            for (at, item) in layers[column].iter().enumerate() {
                place[*item] = real(at);
            }
        }
        let crossings = crossings(items, &layers, &place);
        if crossings < best.0 {
            best = (crossings, layers.clone());
        }
    }
    best.1
}

/// The mean place of some items; `None` of none.
fn mean(items: &[usize], place: &[f64]) -> Option<f64> {
    let sum: f64 = items.iter().map(|item| place[*item]).sum();
    (!items.is_empty()).then(|| sum / real(items.len()))
}

/// How many pairs of edges cross between neighbouring columns.
fn crossings(items: &[Item], layers: &[Vec<usize>], place: &[f64]) -> u64 {
    let mut total = 0;
    for (at, layer) in layers.iter().enumerate() {
        let Some(next) = layers.get(at + 1) else { break };
        let mut position = std::collections::BTreeMap::new();
        for (at, item) in next.iter().enumerate() {
            position.insert(*item, at);
        }
        // Counts, for each edge, those before it that end further down.
        let mut ended = vec![0_u64; next.len() + 1];
        let mut before = 0;
        for item in layer {
            let mut ends: Vec<usize> =
                items[*item].after.iter().filter_map(|to| position.get(to).copied()).collect();
            ends.sort_by(|a, b| place[next[*a]].total_cmp(&place[next[*b]]));
            for end in &ends {
                let mut above = 0;
                let mut slot = end + 1;
                while slot > 0 {
                    above += ended[slot];
                    slot &= slot - 1;
                }
                total += before - above;
            }
            for end in ends {
                before += 1;
                let mut slot = end + 1;
                while slot < ended.len() {
                    ended[slot] += 1;
                    slot += slot & slot.wrapping_neg();
                }
            }
        }
    }
    total
}

/// How far down the middle of each item goes.
fn places(items: &[Item], layers: &[Vec<usize>]) -> Vec<f64> {
    let mut y = vec![0.0; items.len()];
    for layer in layers {
        let mut at = 0.0;
        for (before, item) in layer.iter().enumerate() {
            if before > 0 {
                at += distance(&items[layer[before - 1]], &items[*item]);
            }
            y[*item] = at;
        }
    }
    for sweep in 0..PLACE_SWEEPS {
        let forward = sweep % 2 == 0;
        let columns: Vec<usize> =
            if forward { (0..layers.len()).collect() } else { (0..layers.len()).rev().collect() };
        for column in columns {
            let layer = &layers[column];
            let wanted: Vec<(f64, f64)> = layer
                .iter()
                .map(|item| {
                    let Item { before, after, is_node, .. } = &items[*item];
                    let near = if forward { before } else { after };
                    let weight = if *is_node { 1.0 } else { LANE_WEIGHT };
                    (mean(near, &y).unwrap_or(y[*item]), weight)
                })
                .collect();
            settle(layer, items, &wanted, &mut y);
        }
    }
    let top = y.iter().copied().fold(f64::MAX, f64::min) - HEIGHT / 2.0;
    for place in &mut y {
        *place -= top;
    }
    y
}

/// The least distance between the middles of two neighbours.
const fn distance(a: &Item, b: &Item) -> f64 {
    match (a.is_node, b.is_node) {
        (true, true) => HEIGHT + GAP,
        (false, false) => LANE,
        _ => HEIGHT / 2.0 + LANE,
    }
}

/// Puts the items of a column as near to where they want to be as their order
/// and distances allow: the least sum of squares (pool adjacent violators).
fn settle(layer: &[usize], items: &[Item], wanted: &[(f64, f64)], y: &mut [f64]) {
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(layer.len());
    // Blocks that move as one: sum of weight times place, weight, length.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (at, item) in layer.iter().enumerate() {
        if at > 0 {
            offset += distance(&items[layer[at - 1]], &items[*item]);
        }
        offsets.push(offset);
        let (place, weight) = wanted[at];
        let mut block = ((place - offset) * weight, weight, 1);
        while let Some((sum, weight, length)) = blocks.pop() {
            if sum / weight <= block.0 / block.1 {
                blocks.push((sum, weight, length));
                break;
            }
            block = (block.0 + sum, block.1 + weight, block.2 + length);
        }
        blocks.push(block);
    }
    let mut at = 0;
    for (sum, weight, length) in blocks {
        for _ in 0..length {
            y[layer[at]] = sum / weight + offsets[at];
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize, edges: usize) -> Vec<(usize, usize)> {
        let mut random = fastrand::Rng::with_seed(3);
        let pairs = (0..edges).map(|_| (random.usize(..count), random.usize(..count)));
        super::super::reduce::reduce(count, &pairs.filter(|(a, b)| a < b).collect::<Vec<_>>())
    }

    #[test]
    fn boxes_do_not_overlap_and_edges_go_right() {
        for (count, edges) in [(1, 0), (2, 1), (40, 80), (700, 2000)] {
            let widths: Vec<f64> = (0..count).map(|at| 30.0 + real(at % 7) * 10.0).collect();
            let edges = random(count, edges);
            let placed = layout(&widths, &edges);
            for (a, one) in placed.nodes.iter().enumerate() {
                assert!(one.x >= 0.0 && one.y >= -0.001);
                assert!(one.x + widths[a] <= placed.width + 0.001);
                assert!(one.y + HEIGHT <= placed.height + 0.001);
                for other in &placed.nodes[a + 1..] {
                    let apart = (one.y - other.y).abs() >= HEIGHT + GAP - 0.001;
                    assert!(apart || (one.x - other.x).abs() >= 30.0, "{one:?} {other:?}");
                }
            }
            assert_eq!(placed.edges.len(), edges.len());
            for ((from, to), line) in edges.iter().zip(&placed.edges) {
                assert!(line.windows(2).all(|pair| pair[0].x < pair[1].x), "{line:?}");
                assert_eq!(line[0].x, placed.nodes[*from].x + widths[*from]);
                assert_eq!(line[line.len() - 1].x, placed.nodes[*to].x);
            }
            assert_eq!(placed, layout(&widths, &edges));
        }
    }

    /// Two chains beside each other need not cross.
    #[test]
    fn what_can_be_drawn_without_crossings_is() {
        let edges = [(0, 3), (1, 2), (2, 5), (3, 4)];
        let column = columns(6, &edges);
        let mut items: Vec<Item> = column
            .iter()
            .map(|column| Item { column: *column, is_node: true, before: vec![], after: vec![] })
            .collect();
        for (from, to) in edges {
            items[from].after.push(to);
            items[to].before.push(from);
        }
        let layers = arrange(&items, 3);
        let mut place = vec![0.0; 6];
        for layer in &layers {
            for (at, item) in layer.iter().enumerate() {
                place[*item] = real(at);
            }
        }
        assert_eq!(crossings(&items, &layers, &place), 0);
        let start = [vec![0, 1], vec![2, 3], vec![4, 5]];
        let mut place = vec![0.0; 6];
        for layer in &start {
            for (at, item) in layer.iter().enumerate() {
                place[*item] = real(at);
            }
        }
        assert_eq!(crossings(&items, &start, &place), 2);
    }
}

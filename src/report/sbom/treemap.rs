//! A treemap as SVG: an area for each component, as large as the component is.
//!
//! Squarified: M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps", 2000,
//! <https://vanwijk.win.tue.nl/stm.pdf>.

use std::fmt::{Result, Write};

use super::super::drawing::Shade;
use super::super::text::printable;

/// Size of the picture in pixels, without its head.
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 800.0;

/// Lines above: the title and what the colours mean.
const HEAD: f64 = 56.0;

/// Width of a character of the text.
const CHARACTER: f64 = 6.2;

/// Least size of a tile that has its name in it.
const NAMED: (f64, f64) = (40.0, 14.0);

/// Most tiles: the smallest of more are one.
const MAX_TILES: usize = 5_000;

/// A component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// What stands in it.
    pub label: String,
    /// What is shown when it is pointed at, line by line.
    pub title: Vec<String>,
    /// Its colour.
    pub shade: Shade,
    /// Its size in bytes, if it is known.
    pub size: Option<u64>,
}

/// What is drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Map {
    /// What the picture is of.
    pub title: String,
    /// The components.
    pub tiles: Vec<Tile>,
}

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// A size as a length; sizes beyond 2^53 are rounded.
fn real(number: u64) -> f64 {
    let part = |number: u64| u32::try_from(number & u64::from(u32::MAX)).map_or(0.0, f64::from);
    part(number >> 32) * 4_294_967_296.0 + part(number)
}

/// Draws.
#[must_use]
pub fn draw(map: &Map) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, map);
    out
}

/// Tiles, largest first, with the weight of each; what has no known size
/// weighs as the smallest that has.
fn weighed(map: &Map) -> Vec<(Tile, f64)> {
    let least = map.tiles.iter().filter_map(|one| one.size).filter(|size| *size > 0).min();
    let weight = |size: Option<u64>| real(size.unwrap_or(0).max(least.unwrap_or(1)));
    let mut tiles: Vec<Tile> = map.tiles.clone();
    tiles.sort_by(|a, b| {
        b.size.cmp(&a.size).then_with(|| a.label.cmp(&b.label)).then_with(|| a.title.cmp(&b.title))
    });
    let rest = tiles.split_off(tiles.len().min(MAX_TILES));
    let mut weighed: Vec<(Tile, f64)> = tiles
        .into_iter()
        .map(|tile| {
            let weight = weight(tile.size);
            (tile, weight)
        })
        .collect();
    if !rest.is_empty() {
        let label = format!("{} smaller ones", rest.len());
        let all = rest.iter().map(|tile| weight(tile.size)).sum();
        let shade = rest.iter().map(|tile| tile.shade).min().unwrap_or(Shade::Plain);
        let title = vec![label.clone(), "the worst of them gives the colour".to_owned()];
        weighed.push((Tile { label, title, shade, size: None }, all));
        weighed.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    weighed
}

fn write(out: &mut String, map: &Map) -> Result {
    let tiles = weighed(map);
    let all = HEIGHT + HEAD;
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH:.0}\" height=\"{all:.0}\" \
         viewBox=\"0 0 {WIDTH:.0} {all:.0}\" font-family=\"monospace\" font-size=\"10\" role=\"img\">"
    )?;
    writeln!(out, "<title>{}</title>", escaped(&map.title))?;
    writeln!(out, "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>")?;
    head(out, map)?;
    let weights: Vec<f64> = tiles.iter().map(|(_, weight)| *weight).collect();
    let room = Area { x: 0.0, y: HEAD, width: WIDTH, height: HEIGHT };
    for ((tile, _), area) in tiles.iter().zip(squarified(&weights, room)) {
        self::tile(out, tile, area)?;
    }
    writeln!(out, "</svg>")
}

fn head(out: &mut String, map: &Map) -> Result {
    let known = map.tiles.iter().filter(|tile| tile.size.is_some()).count();
    let sizes = match (known, map.tiles.len()) {
        (0, _) => "all areas alike: no size is known".to_owned(),
        (known, all) if known < all => {
            format!("areas by size; the size of {} is not known", all - known)
        }
        _ => "areas by size".to_owned(),
    };
    let title = escaped(&format!("{} ({sizes})", map.title));
    writeln!(out, "<text x=\"8\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{title}</text>")?;
    let mut x = 8.0;
    for shade in Shade::ALL {
        let count = map.tiles.iter().filter(|tile| tile.shade == shade).count();
        if count == 0 {
            continue;
        }
        let text = format!("{} {}: {count}", shade.symbol(), shade.words());
        let width = CHARACTER * real(u64::try_from(text.chars().count()).unwrap_or(0)) + 12.0;
        let (fill, border, ink) = shade.colours();
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"30\" width=\"{width:.1}\" height=\"18\" rx=\"3\" \
             fill=\"{fill}\" stroke=\"{border}\"/><text x=\"{:.1}\" y=\"43\" fill=\"{ink}\">{}</text>",
            x + 6.0,
            escaped(&text)
        )?;
        x += width + 8.0;
    }
    Ok(())
}

fn tile(out: &mut String, tile: &Tile, area: Area) -> Result {
    let (fill, border, ink) = tile.shade.colours();
    let mut story: Vec<String> = tile.title.iter().map(|line| escaped(line)).collect();
    story.extend(tile.size.map(|size| format!("{size} bytes")));
    write!(
        out,
        "<g><title>{}</title><rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
         fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"0.5\"/>",
        story.join("\n"),
        area.x,
        area.y,
        area.width,
        area.height
    )?;
    if area.width >= NAMED.0 && area.height >= NAMED.1 {
        let mut text = format!("{} ", tile.shade.symbol());
        let mut room = area.width - 6.0 - 2.0 * CHARACTER;
        for character in printable(&tile.label).chars() {
            room -= CHARACTER;
            if room < 0.0 {
                break;
            }
            text.push(character);
        }
        write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{ink}\">{}</text>",
            area.x + 3.0,
            area.y + 11.0,
            escaped(&text)
        )?;
    }
    writeln!(out, "</g>")
}

/// Areas for weights that fall, as near to squares as may be.
fn squarified(weights: &[f64], room: Area) -> Vec<Area> {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return Vec::new();
    }
    let scale = room.width * room.height / total;
    let mut areas = Vec::with_capacity(weights.len());
    let mut room = room;
    let mut rest = weights;
    while !rest.is_empty() {
        let side = room.width.min(room.height);
        let mut count = 1;
        let mut best = worst(rest.get(..1).unwrap_or_default(), side, scale);
        while let Some(row) = rest.get(..=count) {
            let next = worst(row, side, scale);
            if next > best {
                break;
            }
            best = next;
            count += 1;
        }
        let (row, more) = rest.split_at(count.min(rest.len()));
        room = lay(row, room, scale, &mut areas);
        rest = more;
    }
    areas
}

/// How far the least square of a row is from a square.
fn worst(row: &[f64], side: f64, scale: f64) -> f64 {
    let sum: f64 = row.iter().sum::<f64>() * scale;
    let (most, least) = row
        .iter()
        .fold((0.0_f64, f64::INFINITY), |(most, least), one| (most.max(*one), least.min(*one)));
    let square = side * side;
    (square * most * scale / (sum * sum)).max(sum * sum / (square * least * scale))
}

/// Lays a row along the shorter side and gives what is left.
fn lay(row: &[f64], room: Area, scale: f64, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = row.iter().sum::<f64>() * scale;
    let upright = room.height <= room.width;
    let side = if upright { room.height } else { room.width };
    let thick = sum / side;
    let mut at = 0.0;
    for one in row {
        let long = one * scale / thick;
        areas.push(if upright {
            Area { x: room.x, y: room.y + at, width: thick, height: long }
        } else {
            Area { x: room.x + at, y: room.y, width: long, height: thick }
        });
        at += long;
    }
    if upright {
        Area { x: room.x + thick, width: (room.width - thick).max(0.0), ..room }
    } else {
        Area { y: room.y + thick, height: (room.height - thick).max(0.0), ..room }
    }
}

/// Text as it stands in XML.
fn escaped(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(label: &str, size: Option<u64>) -> Tile {
        Tile { label: label.into(), title: vec![label.into()], shade: Shade::Plain, size }
    }

    #[test]
    fn areas_fill_the_room_and_are_as_large_as_their_weights() {
        let weights = [600.0, 600.0, 400.0, 300.0, 200.0, 200.0, 100.0];
        let room = Area { x: 0.0, y: 0.0, width: 600.0, height: 400.0 };
        let areas = squarified(&weights, room);
        assert_eq!(areas.len(), weights.len());
        for (area, weight) in areas.iter().zip(weights) {
            assert!((area.width * area.height - weight * 100.0).abs() < 1e-6, "{area:?}");
            assert!(area.x + area.width <= 600.0 + 1e-6 && area.y + area.height <= 400.0 + 1e-6);
            assert!(area.width / area.height < 4.0 && area.height / area.width < 4.0, "{area:?}");
        }
        for (at, one) in areas.iter().enumerate() {
            for other in &areas[at + 1..] {
                let apart = one.x + one.width <= other.x + 1e-6
                    || other.x + other.width <= one.x + 1e-6
                    || one.y + one.height <= other.y + 1e-6
                    || other.y + other.height <= one.y + 1e-6;
                assert!(apart, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn everything_is_there_and_nothing_raw() {
        let mut tiles: Vec<Tile> =
            (0..6000).map(|at| tile(&format!("n{at}<\u{1b}"), Some(6000 - at))).collect();
        tiles.push(tile("unknown", None));
        let svg = draw(&Map { title: "a & b".into(), tiles });
        assert_eq!(svg.matches("<g>").count(), MAX_TILES + 1);
        assert!(svg.contains("1001 smaller ones") && svg.contains("the size of 1 is not known"));
        assert!(!svg.contains('\u{1b}') && svg.contains("n0&lt;"));
        assert!(draw(&Map::default()).ends_with("</svg>\n"));
        let alike =
            draw(&Map { title: String::new(), tiles: vec![tile("a", None), tile("b", None)] });
        assert!(alike.contains("no size is known") && !alike.contains("NaN"));
    }
}

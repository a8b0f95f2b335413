//! The objects of a bill of materials, looked into where their bytes are at
//! hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::scan_tree_as;
use crate::nix::hash::NarHash;
use crate::nix::store_path::StorePath;
use crate::sbom::assemble::Object;

/// Looks into all objects that are there, on all processors. Those that are
/// not what is said of them come back, with the stated hash and the found one,
/// and nothing is said of what lies inside them; of those that are
/// not there it is unknown.
pub fn look_inside(
    objects: &mut BTreeMap<StorePath, Object>,
    place: impl Fn(&StorePath) -> PathBuf + Sync,
    done: impl Fn(u64) + Sync,
) -> Vec<(StorePath, NarHash, NarHash)> {
    let modified = objects.par_iter_mut().filter_map(|(path, object)| {
        let place = place(path);
        if place.symlink_metadata().is_err() {
            object.unknown.push("what lies inside: its bytes are not at hand".to_owned());
            return None;
        }
        // A fetched file is called by its name, without the hash of its path.
        match scan_tree_as(path.name(), &place) {
            Ok(scan) => {
                done(scan.nar_size);
                let stated = object.nar.map(|(hash, _)| hash);
                if let Some(stated) = stated.filter(|stated| *stated != scan.nar_hash) {
                    return Some((path.clone(), stated, scan.nar_hash));
                }
                object.nar = Some((scan.nar_hash, Some(scan.nar_size)));
                for unread in &scan.inventory.unread {
                    object.unknown.push(format!(
                        "what lies inside: {}, read as {}: {}",
                        unread.place, unread.format, unread.reason
                    ));
                }
                object.vendored = Some(scan.inventory);
                None
            }
            Err(error) => {
                object.unknown.push(format!("what lies inside: {error}"));
                None
            }
        }
    });
    modified.collect()
}

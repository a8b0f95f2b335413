//! No mutation that breaks the form of a policy, report, bill or advisory, or
//! removes evidence from one, turns a deny into a pass.
//!
//! Every rule that some case denies is taken alone, with the files it judges,
//! and one of these is damaged. The seed is printed; `POLICY_SEED` sets it,
//! and the full check takes one at random.

use std::collections::BTreeMap;

use nix_verify::check::registry::{RULES, rule};
use nix_verify::check::{Level, Verdict};
use nix_verify::policy::advisories::Advisories;
use nix_verify::policy::cases::cases;
use nix_verify::policy::{Material, Policy, Setting, judge};
use serde_json::Value;

use super::policies;

/// How many mutations of each side.
const OF_FILES: usize = 2_500;
const OF_POLICIES: usize = 1_000;
/// The seed unless another is asked for.
const SEED: u64 = 7;

/// One rule with the files it denies.
struct Scene {
    name: String,
    policy: String,
    now: i64,
    materials: Vec<Vec<u8>>,
    baselines: Vec<Vec<u8>>,
    advisories: Vec<Vec<u8>>,
}

impl Scene {
    /// The verdict; nothing if a file is no policy or no advisory, which is as
    /// good as a deny.
    fn verdict(&self, policy: &str, changed: Option<(usize, usize, &[u8])>) -> Option<Verdict> {
        let policy = Policy::parse("p.toml", policy.as_bytes()).ok()?;
        let pick = |side: usize, list: &[Vec<u8>]| -> Vec<Vec<u8>> {
            let mut list = list.to_vec();
            if let Some((which, at, bytes)) = changed
                && which == side
            {
                list[at] = bytes.to_vec();
            }
            list
        };
        let read = |list: Vec<Vec<u8>>| -> Vec<Material> {
            list.iter().map(|bytes| Material::read("file.json", bytes)).collect()
        };
        let (materials, baselines) =
            (read(pick(0, &self.materials)), read(pick(1, &self.baselines)));
        let mut advisories = Advisories::default();
        for bytes in pick(2, &self.advisories) {
            advisories.add_osv(&bytes).ok()?;
        }
        let setting = Setting {
            now: self.now,
            baselines: &baselines,
            advisories: (!self.advisories.is_empty()).then_some(&advisories),
            rego: None,
        };
        Some(judge(&[policy], &materials, &setting).verdict(Level::Warning))
    }
}

/// Every rule that some case denies, alone, with the files of the case that it
/// judges.
fn scenes() -> Vec<Scene> {
    let place = policies();
    let mut scenes = Vec::new();
    for name in ["baseline", "strict", "reproducible", "bsi", "cisa", "example"] {
        let text = std::fs::read_to_string(place.join(format!("{name}.toml"))).unwrap();
        let policy = Policy::parse(name, text.as_bytes()).unwrap();
        let blocks: Vec<&str> = text.split("[[rule]]").collect();
        let listed = std::fs::read(place.join(format!("{name}.cases.toml"))).unwrap();
        for case in cases(&policy, &listed).unwrap() {
            for rule in &case.denied {
                let at = policy.rules.iter().position(|one| one.id == *rule).unwrap();
                let block = blocks[at + 1].split("[[waiver]]").next().unwrap();
                let alone = format!("{}[[rule]]{block}", blocks[0]);
                let read = |names: &[String]| -> Vec<Vec<u8>> {
                    let read = |name| of_this_version(&std::fs::read(place.join(name)).unwrap());
                    names.iter().map(read).collect()
                };
                let scope = policy.rules[at].scope;
                let judged = |all: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
                    let fits = |bytes: &Vec<u8>| Material::read("", bytes).scopes.contains(&scope);
                    all.into_iter().filter(fits).collect()
                };
                let mut advisories = Vec::new();
                for directory in &case.osv {
                    for file in std::fs::read_dir(place.join(directory)).unwrap() {
                        advisories.push(std::fs::read(file.unwrap().path()).unwrap());
                    }
                }
                let scene = Scene {
                    name: format!("{name}/{rule} in '{}'", case.name),
                    policy: alone,
                    now: case.now,
                    materials: judged(read(&case.materials)),
                    baselines: judged(read(&case.baselines)),
                    advisories,
                };
                let verdict = scene.verdict(&scene.policy, None);
                assert_ne!(verdict, Some(Verdict::Pass), "{}", scene.name);
                // One that lacks its files has nothing to be damaged.
                if !scene.materials.is_empty() {
                    scenes.push(scene);
                }
            }
        }
    }
    assert!(scenes.len() > 50, "{}", scenes.len());
    scenes
}

/// A report as this very version writes it, the words of its findings with it.
fn of_this_version(bytes: &[u8]) -> Vec<u8> {
    let mut root: Value = serde_json::from_slice(bytes).unwrap();
    if root.get("format").is_none() {
        return bytes.to_vec();
    }
    root["tool"]["version"] = env!("CARGO_PKG_VERSION").into();
    for finding in root["findings"].as_array_mut().unwrap() {
        let rule = rule(finding["rule"].as_str().unwrap()).unwrap();
        finding["summary"] = rule.summary.into();
        finding["remedy"] = rule.remedy.into();
    }
    let bytes = serde_json::to_vec(&root).unwrap();
    let defects = Material::read("", &bytes).defects;
    assert!(defects.is_empty(), "{defects:?}");
    bytes
}

fn random() -> fastrand::Rng {
    let seed = std::env::var("POLICY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(SEED);
    println!("POLICY_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// The places of a JSON value that a test accepts.
fn places(value: &Value, accepts: &dyn Fn(&Value) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut todo = vec![(String::new(), value)];
    while let Some((pointer, value)) = todo.pop() {
        match value {
            Value::Object(map) => todo.extend(map.iter().map(|(key, below)| {
                (format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), below)
            })),
            Value::Array(list) => todo.extend(
                list.iter().enumerate().map(|(at, below)| (format!("{pointer}/{at}"), below)),
            ),
            _ => {}
        }
        if accepts(value) {
            found.push(pointer);
        }
    }
    found.sort();
    found
}

fn misspell(word: &str, random: &mut fastrand::Rng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = random.usize(..letters.len());
    match random.u8(..4) {
        0 => letters.insert(at, 'q'),
        1 if letters.len() > 1 => {
            letters.remove(at);
        }
        2 if at + 1 < letters.len() && letters[at] != letters[at + 1] => letters.swap(at, at + 1),
        _ => letters[at] = if letters[at] == 'z' { 'y' } else { 'z' },
    }
    letters.into_iter().collect()
}

/// The classes of damage to a file.
const CLASSES: [&str; 7] = [
    "misspelt key",
    "wrong type",
    "missing field",
    "null field",
    "missing element",
    "renamed rule",
    "truncated",
];

/// A file damaged in one way, if there is room for that way in it.
fn damage(bytes: &[u8], class: &str, random: &mut fastrand::Rng) -> Option<(Vec<u8>, String)> {
    if class == "truncated" {
        let text = bytes.trim_ascii_end();
        let at = random.usize(..text.len());
        return Some((text[..at].to_vec(), format!("cut at {at}")));
    }
    let mut root: Value = serde_json::from_slice(bytes).unwrap();
    let full_object = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    let full_list = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    let any = |_: &Value| true;
    let accepts: &dyn Fn(&Value) -> bool = match class {
        "misspelt key" | "missing field" => &full_object,
        "missing element" => &full_list,
        "renamed rule" => {
            let count = root["findings"].as_array().map_or(0, Vec::len);
            if count == 0 {
                return None;
            }
            let at = random.usize(..count);
            let rule = root["findings"][at]["rule"].as_str().unwrap().to_owned();
            let new = if random.bool() {
                misspell(&rule, random)
            } else {
                RULES[random.usize(..RULES.len())].id.to_owned()
            };
            if new == rule {
                return None;
            }
            root["findings"][at]["rule"] = new.clone().into();
            return Some((serde_json::to_vec(&root).unwrap(), format!("{rule} as {new}")));
        }
        _ => &any,
    };
    let found = places(&root, accepts);
    let place = found[random.usize(..found.len())].clone();
    let target = root.pointer_mut(&place).unwrap();
    let what = match (class, target) {
        ("misspelt key", Value::Object(map)) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = keys[random.usize(..keys.len())].clone();
            let new = misspell(&key, random);
            if map.contains_key(&new) {
                return None;
            }
            let value = map.remove(&key).unwrap();
            map.insert(new.clone(), value);
            format!("{place}: {key} as {new}")
        }
        ("missing field", Value::Object(map)) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = &keys[random.usize(..keys.len())];
            map.remove(key);
            format!("{place}: without {key}")
        }
        ("missing element", Value::Array(list)) => {
            let at = random.usize(..list.len());
            list.remove(at);
            format!("{place}: without {at}")
        }
        ("null field", target) => {
            *target = Value::Null;
            format!("{place}: null")
        }
        (_, target) => {
            let before = target.clone();
            let others = [
                Value::from(7),
                Value::from("x"),
                Value::from(true),
                serde_json::json!([]),
                serde_json::json!({}),
                serde_json::json!(["x"]),
                Value::from(0.5),
            ];
            let kind = std::mem::discriminant(&before);
            let others: Vec<&Value> =
                others.iter().filter(|one| std::mem::discriminant(*one) != kind).collect();
            *target = others[random.usize(..others.len())].clone();
            format!("{place}: {before} as {target}")
        }
    };
    Some((serde_json::to_vec(&root).unwrap(), what))
}

#[test]
fn damaged_files_never_pass() {
    let mut random = random();
    let scenes = scenes();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    while total < OF_FILES {
        let scene = &scenes[random.usize(..scenes.len())];
        let class = CLASSES[random.usize(..CLASSES.len())];
        // Mostly what is judged, now and then what it is held against.
        let side = match random.u8(..8) {
            0 if !scene.baselines.is_empty() => 1,
            1 if !scene.advisories.is_empty() => 2,
            _ => 0,
        };
        let list = [&scene.materials, &scene.baselines, &scene.advisories][side];
        let at = random.usize(..list.len());
        let Some((bytes, what)) = damage(&list[at], class, &mut random) else { continue };
        let verdict = scene.verdict(&scene.policy, Some((side, at, &bytes)));
        assert_ne!(
            verdict,
            Some(Verdict::Pass),
            "{}: {class}, {what} in {}",
            scene.name,
            ["what is judged", "the baseline", "the advisory"][side]
        );
        *done.entry(class).or_default() += 1;
        total += 1;
    }
    println!("{total} damaged files: {done:?}");
    assert_eq!(done.len(), CLASSES.len());
}

/// The lines of a policy that hold a key and its value, whole.
fn assignments(policy: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut offset = 0;
    let mut open: Option<usize> = None;
    for line in policy.split_inclusive('\n') {
        let end = offset + line.len();
        let code = line.split('#').next().unwrap().trim();
        if let Some(start) = open {
            if code == "]" {
                found.push((start, end));
                open = None;
            }
        } else if let Some((key, value)) = code.split_once('=') {
            let plain = key.trim().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            if plain && value.trim() == "[" {
                open = Some(offset);
            } else if plain {
                found.push((offset, end));
            }
        }
        offset = end;
    }
    found
}

#[test]
fn damaged_policies_never_pass() {
    let mut random = random();
    let scenes = scenes();
    let mut done: BTreeMap<&str, usize> = BTreeMap::new();
    let mut total = 0;
    while total < OF_POLICIES {
        let scene = &scenes[random.usize(..scenes.len())];
        let all = assignments(&scene.policy);
        let (start, end) = all[random.usize(..all.len())];
        let line = &scene.policy[start..end];
        let (key, value) = line.split_once('=').unwrap();
        let (class, new) = match random.u8(..6) {
            0 => ("misspelt key", format!("{}={value}", misspell(key.trim(), &mut random))),
            1 => {
                let mut other = vec!["true", "\"x\"", "[]", "{}", "[[]]", "1979-05-27"];
                // A number in place of a number is another policy, not a broken one.
                if value.trim().parse::<f64>().is_err() {
                    other.extend(["3", "1.5"]);
                }
                ("wrong type", format!("{key}= {}\n", other[random.usize(..other.len())]))
            }
            2 => ("missing field", String::new()),
            3 => ("null field", format!("{key}=\n")),
            4 if key.trim() == "id" => (
                "renamed rule",
                format!("id = \"{}\"\n", misspell("rule-of-another-name", &mut random)),
            ),
            _ if ["require", "when"].contains(&key.trim()) => {
                let names =
                    ["component.", "output.", "input.", "sbom.", "name", "version", "format"];
                let Some(name) = names.iter().find(|name| value.contains(**name)) else { continue };
                (
                    "misspelt fact",
                    format!("{key}={}", value.replacen(*name, &misspell(name, &mut random), 1)),
                )
            }
            _ => continue,
        };
        // Only what is of another type is wrong.
        let changed = format!("{}{new}{}", &scene.policy[..start], &scene.policy[end..]);
        if ["id", "name", "description", "reason"].contains(&key.trim()) && new.contains("\"x\"") {
            continue;
        }
        let verdict = scene.verdict(&changed, None);
        assert_ne!(verdict, Some(Verdict::Pass), "{}: {class}\n{new}", scene.name);
        *done.entry(class).or_default() += 1;
        total += 1;
    }
    println!("{total} damaged policies: {done:?}");
    assert!(done.len() >= 6, "{done:?}");
}

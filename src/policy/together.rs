//! Checks of all things of a material together.

use std::collections::{BTreeMap, BTreeSet};

use super::check::Check;
use super::file::Scope;
use super::judge::{Answer, Asked, Setting};
use super::material::Material;
use super::subject::{Field, Kind, Subject, Unknown};
use crate::check::lock::config::matches;

/// Most names that a message lists.
const MAX_NAMED: usize = 10;

/// Asks a check of a material that a rule of that scope judges.
pub(super) fn ask<'m>(
    check: &Check,
    scope: Scope,
    material: &'m Material,
    setting: &Setting<'_>,
) -> Vec<Asked<'m>> {
    if material.things.is_empty() {
        return Vec::new();
    }
    let whole = |answer: Answer| {
        vec![Asked {
            material,
            id: material.name.clone(),
            name: String::new(),
            pointer: String::new(),
            answer,
        }]
    };
    match check {
        Check::ReproducedPercent(percent) => whole(reproduced(material, *percent)),
        Check::MustReproduce(patterns) => must_reproduce(material, patterns),
        Check::NoRegression => match baseline(scope, setting) {
            Ok(before) => regressions(material, before),
            Err(unknown) => whole(Answer::Unknown(unknown)),
        },
        Check::Drift { added, removed, changed } => whole(match baseline(scope, setting) {
            Ok(before) => drift(material, before, [*added, *removed, *changed]),
            Err(unknown) => Answer::Unknown(unknown),
        }),
        Check::Unique => unique(material),
        _ => whole(Answer::Unknown(Unknown::Other("the rule is about single things".to_owned()))),
    }
}

/// Whether an output was found to be reproduced.
fn is_reproduced(output: &Subject) -> Result<bool, Unknown> {
    Ok(output.as_text(Field::Verdict)? == "pass" && output.as_text(Field::Status)? == "reproduced")
}

/// What could not be judged counts as not reproduced: otherwise what takes
/// claims away would make the share larger.
fn reproduced(material: &Material, percent: i64) -> Answer {
    let (mut same, mut all) = (0_u64, 0_u64);
    for output in &material.things {
        match (output.is(Field::FixedOutput), is_reproduced(output)) {
            (Ok(true), _) => {}
            (Ok(false), Ok(holds)) => {
                all += 1;
                same += u64::from(holds);
            }
            (Err(unknown), _) | (_, Err(unknown)) => return Answer::Unknown(unknown),
        }
    }
    if all == 0 {
        let message = "every output is fixed by its hash; there is no share to speak of";
        return Answer::Unknown(Unknown::Other(message.to_owned()));
    }
    let enough = u128::from(same) * 100 >= u128::from(all) * u128::from(percent.unsigned_abs());
    if enough {
        return Answer::Met;
    }
    Answer::Denied(format!("{same} of {all} outputs are reproduced (wanted are {percent} %)"))
}

fn must_reproduce<'m>(material: &'m Material, patterns: &[String]) -> Vec<Asked<'m>> {
    let mut asked = Vec::new();
    for pattern in patterns {
        let mut held = false;
        let mut failed = false;
        for output in &material.things {
            let fits = match output.as_text(Field::Name) {
                Ok(name) => matches(pattern, name),
                Err(unknown) => {
                    asked.push(Asked::new(material, output, Answer::Unknown(unknown)));
                    failed = true;
                    continue;
                }
            };
            if !fits {
                continue;
            }
            let fixed = output.is(Field::FixedOutput) == Ok(true)
                && output.as_text(Field::Verdict) == Ok("pass");
            let answer = match is_reproduced(output) {
                Ok(true) => {
                    held = true;
                    Answer::Met
                }
                // A source, say; it is no proof, and no lack of one.
                Ok(false) if fixed => continue,
                Ok(false) => {
                    let status = output.as_text(Field::Status).unwrap_or_default();
                    Answer::Denied(format!("it has to be reproduced and is '{status}'"))
                }
                Err(unknown) => Answer::Unknown(unknown),
            };
            failed |= answer != Answer::Met;
            asked.push(Asked::new(material, output, answer));
        }
        if !held && !failed {
            let message = format!("no output named '{pattern}' was rebuilt");
            asked.push(Asked {
                material,
                id: pattern.clone(),
                name: pattern.clone(),
                pointer: "/subjects".to_owned(),
                answer: Answer::Unknown(Unknown::Other(message)),
            });
        }
    }
    asked
}

/// The one earlier material of the same scope.
fn baseline<'a>(scope: Scope, setting: &Setting<'a>) -> Result<&'a Material, Unknown> {
    let mut fitting = setting
        .baselines
        .iter()
        .filter(|before| !before.things.is_empty() && before.scopes.contains(&scope));
    let other = |message: &str| Unknown::Other(message.to_owned());
    let first = fitting.next();
    let before =
        first.ok_or_else(|| other("nothing earlier was given to compare with (--baseline)"))?;
    match fitting.next() {
        None => Ok(before),
        Some(_) => Err(other("several earlier files were given that it could be compared with")),
    }
}

/// What held before has to hold now. Outputs are matched by path, or, where
/// packages have changed, by name and output if that tells one.
fn regressions<'m>(material: &'m Material, before: &Material) -> Vec<Asked<'m>> {
    let key = |output: &Subject| {
        let part = |field| output.as_text(field).unwrap_or_default().to_owned();
        (part(Field::Name), part(Field::Output), part(Field::System))
    };
    let mut named: BTreeMap<_, Vec<&Subject>> = BTreeMap::new();
    let mut by_id: BTreeMap<&str, &Subject> = BTreeMap::new();
    for output in &material.things {
        named.entry(key(output)).or_default().push(output);
        by_id.insert(&output.id, output);
    }
    let mut asked = Vec::new();
    for then in &before.things {
        let held = match then.as_text(Field::Verdict) {
            Ok(verdict) => verdict == "pass",
            Err(unknown) => {
                asked.push(Asked::new(material, then, Answer::Unknown(unknown)));
                continue;
            }
        };
        if !held {
            continue;
        }
        let now = by_id.get(then.id.as_str()).copied().or_else(|| {
            match named.get(&key(then)).map(Vec::as_slice) {
                Some([only]) => Some(*only),
                _ => None,
            }
        });
        let was = then.as_text(Field::Status).unwrap_or_default().to_owned();
        asked.push(match now {
            None => {
                let message =
                    format!("it was '{was}' in the earlier report and is not in this one");
                Asked::new(material, then, Answer::Denied(message))
            }
            Some(now) => {
                let answer = Answer::of(now.as_text(Field::Verdict).map(|verdict| {
                    let is = now.as_text(Field::Status).unwrap_or_default();
                    (verdict != "pass").then(|| format!("it was '{was}' and is '{is}' now"))
                }));
                Asked::new(material, now, answer)
            }
        });
    }
    if asked.is_empty() {
        let message = "nothing held in the earlier report".to_owned();
        asked.push(Asked {
            material,
            id: before.name.clone(),
            name: String::new(),
            pointer: String::new(),
            answer: Answer::Unknown(Unknown::Other(message)),
        });
    }
    asked
}

/// The versions of every name. Components without a name cannot be compared.
fn versions(bill: &Material) -> Result<BTreeMap<&str, BTreeSet<&str>>, Unknown> {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for part in &bill.things {
        let name = part.as_text(Field::Name)?;
        // Many components have none; that is a version too.
        all.entry(name).or_default().insert(part.as_text(Field::Version).unwrap_or_default());
    }
    Ok(all)
}

fn drift(now: &Material, before: &Material, most: [usize; 3]) -> Answer {
    let (now, before) = match (versions(now), versions(before)) {
        (Ok(now), Ok(before)) => (now, before),
        (Err(unknown), _) | (_, Err(unknown)) => return Answer::Unknown(unknown),
    };
    let added: Vec<&str> = now.keys().filter(|name| !before.contains_key(*name)).copied().collect();
    let removed: Vec<&str> =
        before.keys().filter(|name| !now.contains_key(*name)).copied().collect();
    let changed: Vec<&str> = now
        .iter()
        .filter(|(name, versions)| before.get(*name).is_some_and(|old| old != *versions))
        .map(|(name, _)| *name)
        .collect();
    let mut wrong = Vec::new();
    for ((what, names), most) in
        [("added", added), ("removed", removed), ("changed", changed)].into_iter().zip(most)
    {
        if names.len() > most {
            let listed: Vec<&str> = names.iter().take(MAX_NAMED).copied().collect();
            let more = if names.len() > MAX_NAMED { ", …" } else { "" };
            wrong.push(format!(
                "{} {what} (allowed are {most}): {}{more}",
                names.len(),
                listed.join(", ")
            ));
        }
    }
    if wrong.is_empty() { Answer::Met } else { Answer::Denied(wrong.join("; ")) }
}

/// Inputs that come from one source and are locked to different content.
fn unique(material: &Material) -> Vec<Asked<'_>> {
    let inputs: Vec<&Subject> =
        material.things.iter().filter(|one| one.kind == Kind::Input).collect();
    let mut contents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for input in &inputs {
        if let (Ok(source), Ok(hash)) =
            (input.as_text(Field::Locked), input.as_text(Field::NarHash))
        {
            contents.entry(source).or_default().insert(hash);
        }
    }
    inputs
        .iter()
        .map(|input| {
            let answer = input.as_text(Field::Locked).and_then(|source| {
                input.as_text(Field::NarHash)?;
                let count = contents.get(source).map_or(0, BTreeSet::len);
                Ok((count > 1).then(|| format!("{source} is locked in {count} versions")))
            });
            Asked::new(material, input, Answer::of(answer))
        })
        .collect()
}

//! A process for Rego: this program once more, which evaluates one module and
//! has limits on time and memory that no module gets around.
//!
//! It reads lines of JSON (the module, then inputs) and writes a line for each
//! answer; what it did not come to is no answer.

use std::io::{BufRead as _, BufWriter, Read as _, Write as _};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::policy::rego::{Evaluator, engine};

/// What tells the process what it is.
pub const ARGUMENT: &str = "--evaluate-rego";

/// Seconds of processor time for one rule over one report: thousands of things
/// take less than one.
const SECONDS: u64 = 10;

/// Memory that it may have: a report of some thousand things takes a hundredth.
const MEMORY: u64 = 1 << 30;

/// Longest answer: a truth value, or why there is none.
const MAX_ANSWER: u64 = 4096;

/// Evaluates modules in processes of their own.
#[derive(Debug, Clone, Copy)]
pub struct Processes;

impl Evaluator for Processes {
    fn answers(&self, module: &str, inputs: &[String]) -> Vec<Result<bool, String>> {
        let failed = |why: String| vec![Err(why); inputs.len()];
        match run(module, inputs) {
            Ok((mut answers, end)) => {
                answers.truncate(inputs.len());
                answers.resize(inputs.len(), Err(end));
                answers
            }
            Err(error) => failed(format!("Rego cannot be evaluated: {error}")),
        }
    }
}

/// The answers that came, and why there are no more.
fn run(module: &str, inputs: &[String]) -> std::io::Result<(Vec<Result<bool, String>>, String)> {
    let mut child = Command::new("/proc/self/exe")
        .arg(ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let mut most = MAX_ANSWER;
    for _ in inputs {
        most = most.saturating_add(MAX_ANSWER);
    }
    let mut text = String::new();
    let read = std::thread::scope(|scope| {
        scope.spawn(move || {
            let Some(stdin) = stdin else { return };
            let mut stdin = BufWriter::new(stdin);
            // One that has died says so by the answers it did not give.
            let _ = writeln!(stdin, "{}", serde_json::Value::from(module));
            for input in inputs {
                if writeln!(stdin, "{input}").is_err() {
                    break;
                }
            }
        });
        match stdout {
            Some(stdout) => stdout.take(most).read_to_string(&mut text).map(drop),
            None => Ok(()),
        }
    });
    let status = child.wait()?;
    read?;
    let answers = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| {
        match serde_json::from_str(line) {
            Ok(serde_json::Value::Bool(truth)) => Ok(truth),
            Ok(serde_json::Value::String(why)) => Err(why),
            _ => Err("its evaluation has no answer".to_owned()),
        }
    });
    let end = if status.success() {
        "its evaluation has no answer".to_owned()
    } else {
        format!(
            "its evaluation ended early: over all that is judged it may take {SECONDS} s and {} MiB",
            MEMORY >> 20
        )
    };
    Ok((answers.collect(), end))
}

/// The process itself.
#[must_use]
pub fn main() -> ExitCode {
    let limit = |most| Rlimit { current: Some(most), maximum: Some(most) };
    let limits = [(Resource::As, MEMORY), (Resource::Cpu, SECONDS), (Resource::Core, 0)];
    for (resource, most) in limits {
        if setrlimit(resource, limit(most)).is_err() {
            return ExitCode::FAILURE;
        }
    }
    let mut lines = std::io::stdin().lock().lines();
    let module = lines.next().and_then(Result::ok);
    let Some(Ok(module)) = module.map(|line| serde_json::from_str::<String>(&line)) else {
        return ExitCode::FAILURE;
    };
    let Ok(inputs) = lines.collect::<Result<Vec<String>, _>>() else { return ExitCode::FAILURE };
    let mut out = std::io::stdout().lock();
    let done = engine::evaluate(&module, inputs.iter().map(String::as_str), |answer| {
        let answer = match answer {
            Ok(truth) => serde_json::Value::from(truth),
            Err(why) => serde_json::Value::from(why.chars().take(500).collect::<String>()),
        };
        // A reader that is gone has no use for it.
        let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
    });
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

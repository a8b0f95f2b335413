//! A derivation as JSON facts, shaped as `nix show-derivation` of Nix 2.4 to
//! 2.17 shaped them.

use serde_json::{Map, Value, json};

use super::{Derivation, Output};
use crate::nix::store_path::StoreDir;

/// The facts of a derivation. Bytes that are not UTF-8 become U+FFFD: this is
/// for showing, not for hashing.
#[must_use]
pub fn facts(drv: &Derivation, store_dir: &StoreDir) -> Value {
    let lossy = |bytes: &[u8]| Value::String(String::from_utf8_lossy(bytes).into_owned());
    let outputs = drv.outputs.iter().map(|(name, output)| {
        let mut fact = Map::new();
        if let Some(path) = output.path() {
            fact.insert("path".to_owned(), store_dir.full(path).into());
        }
        match output {
            Output::Fixed { method, hash, .. } => {
                let algorithm = format!("{}{}", method.file_prefix(), hash.algorithm());
                fact.insert("hashAlgo".to_owned(), algorithm.into());
                fact.insert("hash".to_owned(), hash.base16().into());
            }
            Output::FloatingCa { method, algorithm } | Output::Impure { method, algorithm } => {
                let text = format!("{}{algorithm}", method.file_prefix());
                fact.insert("hashAlgo".to_owned(), text.into());
            }
            Output::InputAddressed { .. } | Output::Deferred => {}
        }
        if matches!(output, Output::Impure { .. }) {
            fact.insert("impure".to_owned(), true.into());
        }
        (name.clone(), Value::Object(fact))
    });
    let env = drv
        .env
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), lossy(value)));
    let input_drvs = drv
        .input_drvs
        .iter()
        .map(|(path, names)| (store_dir.full(path), names.iter().cloned().collect::<Value>()));
    json!({
        "args": drv.args.iter().map(|arg| lossy(arg)).collect::<Vec<_>>(),
        "builder": lossy(&drv.builder),
        "env": env.collect::<Map<_, _>>(),
        "inputDrvs": input_drvs.collect::<Map<_, _>>(),
        "inputSrcs": drv.input_srcs.iter().map(|path| store_dir.full(path)).collect::<Vec<_>>(),
        "outputs": outputs.collect::<Map<_, _>>(),
        "system": lossy(&drv.platform),
    })
}

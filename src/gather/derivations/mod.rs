//! Derivations: from files, stores, caches or an installed Nix, and the graph of
//! them that targets build on.

pub mod cache;
pub mod evaluate;
pub mod files;
pub mod graph;
pub mod modulo_inputs;

//! Executors: turning a derivation and its inputs into outputs.

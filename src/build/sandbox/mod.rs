//! The sandbox: a world made of namespaces, mounts and a filter.

pub mod plan;

//! System calls: the one place where `unsafe` is allowed.

//! `verify attest`: signed statements about what was found out.

pub mod args;
mod make;
mod trust;
mod verify;

pub use args::{AttestArgs, AttestCommand, MakeArgs, VerifyArgs};
pub use make::run as make;
pub(super) use trust::TrustOptions;
pub(super) use verify::lines;
pub use verify::run as verify;

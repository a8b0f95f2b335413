//! `verify attest`: signed statements about what was found out.

pub mod args;
mod make;
mod verify;

pub use args::{AttestArgs, AttestCommand, MakeArgs, VerifyArgs};
pub use make::run as make;
pub use verify::run as verify;
pub(super) use verify::{add_pems, lines};

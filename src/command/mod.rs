//! The commands: each joins gathering, checking and reporting.

//! Outcomes in, bytes out.

//! The state directory: everything kept on disk, written whole or not at all.

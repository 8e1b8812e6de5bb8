//! Shared by the example binaries.

//! The logs under test.

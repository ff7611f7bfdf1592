//! What is measured, one file per group of rows.

pub mod buffer;
pub mod kernel;

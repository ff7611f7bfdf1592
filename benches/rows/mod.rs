//! What is measured, one file per group of rows.

pub mod arena;
pub mod buffer;
pub mod kernel;

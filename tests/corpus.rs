//! The corpus program, phase by phase and as a whole, and the reading of files that it stands on.
//!
//! | module | the promise |
//! |---|---|
//! | `file_reading` | `Place::read_file` gives the file's bytes, by direct IO where it says so, and loses nothing on failure |
//! | `term_index` | the index of the words is a plain map, in a balanced tree that never changes, and leaves nothing behind in its heap |
//! | `similarity` | words, vectors and products are those of a plain computation in `f64` |
//! | `whole_job` | a run on a folder with anything in it reports it all and stays within its limits |
//! | `command_line` | arguments are understood or refused |
//!
//! The program's modules are included as they are, nothing is copied.

#[allow(dead_code, reason = "the tests look at what they need")]
#[path = "../examples/corpus"]
mod corpus {
    pub mod compare;
    pub mod kernels;
    pub mod options;
    pub mod progress;
    pub mod read;
    pub mod report;
    pub mod run;
    pub mod terms;
    pub mod tokens;
    pub mod tree;
    pub mod vectors;
    pub mod walk;
}

#[path = "common/region.rs"]
mod region;

#[path = "corpus/command_line.rs"]
mod command_line;
#[path = "corpus/file_reading.rs"]
mod file_reading;
#[path = "corpus/similarity.rs"]
mod similarity;
#[path = "corpus/term_index.rs"]
mod term_index;
#[path = "corpus/whole_job.rs"]
mod whole_job;

/// Says in the test's output, and past its capture, that something was not tested here.
fn skip(what: &str, why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: {why}");
}

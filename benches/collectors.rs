//! The programs of the rows `gc/*` that are measured as whole processes, all in one: `peers` starts it for each sample.
//!
//! # Note: why a program of its own
//! gc-arena, safe-gc, `Box` and `Rc` take their memory from the process's allocator, and on the C library's they are not what
//! they can be (gc-arena is five times as slow). So that allocator is mimalloc here, for all contenders, and as a user has
//! it: an allocator that asks first whether it is to be mimalloc would disturb them, and every other row of `peers`. A
//! process of its own also gives each contender a heap that no other has used, and its peak of memory.
//!
//! It is not a benchmark target of the package, as cargo builds only what it is asked for of those, but builds programs for
//! all of them.

mod common;
#[path = "collectors/map.rs"]
mod map;
#[path = "collectors/pairs.rs"]
mod pairs;
#[path = "collectors/trees.rs"]
mod trees;

use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
usage: collectors WORK CONTENDER SIZE
       collectors --measure PROGRAM [ARGUMENT]...";

/// Does work of a size, and gives a number that is the same for all contenders.
type Contender = fn(u64) -> u64;

struct Work {
    name: &'static str,
    contenders: &'static [(&'static str, Contender)],
}

const WORKS: &[Work] = &[
    Work {
        name: "binary-trees",
        contenders: &[
            ("ours-raw", trees::run::<trees::OursRaw>),
            ("ours-safe", trees::run::<trees::OursSafe>),
            ("ours-c", trees::in_c),
            ("Box", trees::run::<trees::Boxes>),
            ("Rc", trees::run::<trees::Counted>),
            ("gc-arena", trees::run::<trees::GcArena>),
            ("safe-gc", trees::run::<trees::SafeGc>),
            ("bumpalo", trees::run::<trees::Bumped>),
        ],
    },
    Work {
        name: "short-lived-pairs",
        contenders: &[
            ("ours", pairs::ours),
            ("Box", pairs::boxes),
            ("Rc", pairs::counted),
            ("gc-arena", pairs::gc_arena),
            ("safe-gc", pairs::safe_gc),
            ("bumpalo", pairs::bumped),
        ],
    },
    Work {
        name: "persistent-map",
        contenders: &[
            ("ours", map::ours),
            ("Rc", map::counted),
            ("gc-arena", map::gc_arena),
            ("safe-gc", map::safe_gc),
        ],
    },
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["--measure", program, ref args @ ..] => measure(Command::new(program).args(args)),
        [work, contender, size] => run(work, contender, size),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("collectors: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(work: &str, contender: &str, size: &str) -> Result<(), String> {
    let size = size.parse().map_err(|error| format!("the size {size}: {error}"))?;
    let found = WORKS.iter().find(|one| one.name == work).ok_or_else(|| format!("there is no work {work}"))?;
    let found = found.contenders.iter().find(|one| one.0 == contender);
    let (_, run) = found.ok_or_else(|| format!("{work} has no contender {contender}"))?;
    println!("{}", run(size));
    Ok(())
}

/// Runs a program and says, after whatever that prints, how many microseconds of CPU time it took, from its start to its
/// end, and how many KiB of its memory were resident at the peak.
///
/// It is this process that asks the kernel, not `peers`, as the peak of a process includes that of the one which it was
/// forked from; this one's is small.
fn measure(program: &mut Command) -> Result<(), String> {
    let child = program.spawn().map_err(|error| format!("{}: {error}", program.get_program().display()))?;
    let pid = libc::pid_t::try_from(child.id()).expect("it came from one");
    let mut status = 0;
    // SAFETY: plain numbers, for which zeros will do.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to variables of ours, of these types. The child is waited for here and nowhere else.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited != pid {
        return Err(format!("waiting for the program: {}", std::io::Error::last_os_error()));
    }
    if !(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0) {
        return Err(format!("the program ended with the status {status:#x}"));
    }
    let microseconds = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    println!("{} {}", microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_maxrss);
    Ok(())
}

//! Measures the contenders of a row in turn, in one process.
//!
//! # Note: what is measured, and why so
//! Absolute times on a shared machine mean nothing, and clock rates and neighbours change from second to second. So a
//! row is measured in *rounds*: each round takes one sample of every contender, one right after the other, forwards in
//! even rounds and backwards in odd ones, so that a slow drift favours nobody. A sample repeats the work often enough to
//! be long for the clock ([`Plan::sample`]) and is the time of one repetition.
//!
//! * The time of a contender is the median of its samples.
//! * The *best peer* is the peer with the least such median.
//! * The ratio to a peer is the median over the rounds of (our sample ÷ its sample of the same round), not the ratio of
//!   two medians: what disturbs a round mostly disturbs both of its samples.
//!
//! A row of memory is measured in the same way, but each of its samples is a process of its own ([`child`]): memory that
//! another contender, or the sample before, has left to the process would be counted with it or reused by it. So is a
//! row of programs ([`program`]), which come with an allocator, or in a language, of their own.

pub mod args;
pub mod child;
pub mod program;
pub mod report;
pub mod threads;

use std::time::{Duration, Instant};

use program::{Program, Ran};

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The least duration of a sample. Shorter than a scheduler's time slice, so that on a busy machine most samples
    /// are not interrupted and the median is one of those.
    pub sample: Duration,
    /// How many rounds a row gets: as many as fit `row`, within these bounds.
    pub rounds: (usize, usize),
    /// How long a row may take, roughly.
    pub row: Duration,
    /// How many rounds a row of memory gets. Its samples vary little.
    pub child_rounds: usize,
    /// How many rounds a row of programs gets. Its samples are long.
    pub program_rounds: usize,
    /// Whether programs get the smaller of their two sizes of work.
    pub small: bool,
}

impl Plan {
    pub const FULL: Self = Self {
        sample: Duration::from_micros(400),
        rounds: (15, 301),
        row: Duration::from_millis(5000),
        child_rounds: 7,
        program_rounds: 5,
        small: false,
    };
    pub const QUICK: Self = Self {
        sample: Duration::from_micros(100),
        rounds: (3, 15),
        row: Duration::from_millis(100),
        child_rounds: 1,
        program_rounds: 1,
        small: true,
    };

    /// The rounds for a row of which one round takes `round`. Odd, so that a median is one of its samples.
    fn rounds(&self, round: Duration) -> usize {
        let fitting = (self.row.as_secs_f64() / round.as_secs_f64()) as usize;
        fitting.clamp(self.rounds.0, self.rounds.1) | 1
    }
}

/// What a row's samples are printed in.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Mebibytes,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Mebibytes => "MiB",
        }
    }

    /// Of a sample: seconds, or bytes.
    fn of(self, sample: f64) -> f64 {
        sample
            * match self {
                Self::Nanoseconds => 1e9,
                Self::Microseconds => 1e6,
                Self::Milliseconds => 1e3,
                Self::Mebibytes => 1.0 / (1 << 20) as f64,
            }
    }
}

/// What a ratio is taken to.
#[derive(Clone, Copy, Debug)]
pub enum Against {
    BestPeer,
    /// The best of the peers whose names begin so: one peer, or one in several settings.
    Peer(&'static str),
    /// No ratio: the bar is a figure in the row's unit.
    Nothing,
}

/// What a row is to reach: printed with the result, never enforced, as timing proves nothing about a build.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub at_most: f64,
    pub against: Against,
}

impl Bar {
    pub const fn best(at_most: f64) -> Self {
        Self { at_most, against: Against::BestPeer }
    }

    pub const fn peer(at_most: f64, name: &'static str) -> Self {
        Self { at_most, against: Against::Peer(name) }
    }

    pub const fn absolute(at_most: f64) -> Self {
        Self { at_most, against: Against::Nothing }
    }
}

/// One line of the result: a piece of work that we and the peers do.
#[derive(Clone, Copy)]
pub struct Row {
    /// `group/what`; what `--filter` looks at.
    pub name: &'static str,
    pub unit: Unit,
    pub bars: &'static [Bar],
    /// Sets up the data. Called only if the row is to be measured, and its result is dropped right after.
    pub contenders: fn() -> Contenders,
}

/// Our name among the contenders of a row.
const OURS: &str = "ours";

/// Who does the work of a row.
pub struct Contenders {
    pub ours: Contender,
    pub peers: Vec<(&'static str, Contender)>,
    size: Option<Size>,
    telling: Option<Box<dyn Fn() -> String>>,
}

/// How much a program is to do.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub what: &'static str,
    pub full: u64,
    /// With `--quick`, so that the row is soon done.
    pub quick: u64,
}

impl Contenders {
    /// Ours; the peers follow by [`against`](Self::against).
    pub fn ours(ours: Contender) -> Self {
        Self { ours, peers: Vec::new(), size: None, telling: None }
    }

    /// Adds a peer. A crate keeps its name; std's `Vec` is `Vec`.
    pub fn against(mut self, name: &'static str, peer: Contender) -> Self {
        self.peers.push((name, peer));
        self
    }

    /// For programs, which need one.
    pub fn size(self, size: Size) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Adds what the row has to say beside times when it has been measured.
    pub fn telling(self, tell: impl Fn() -> String + 'static) -> Self {
        Self { telling: Some(Box::new(tell)), ..self }
    }
}

/// Does the work of a row.
pub struct Contender {
    work: Work,
    /// How many operations a repetition is; a sample is the time of one operation.
    operations: u64,
}

enum Work {
    /// Does the work so many times and says how long that took.
    Timed(Box<dyn FnMut(u64) -> Duration>),
    /// Does it once, in a process of its own, and says how many bytes of memory that took.
    Child(fn() -> usize),
    /// Does it once, and is watched.
    Program(Program),
}

/// What one sample gives.
struct Sample {
    /// Seconds for one operation, or bytes.
    value: f64,
    /// Of a program only.
    ran: Option<Ran>,
}

impl Contender {
    /// `work`, repeated in a loop that is compiled together with it. It must hand its result, or the memory that it
    /// wrote, to [`black_box`](std::hint::black_box).
    pub fn repeating(mut work: impl FnMut() + 'static) -> Self {
        Self::rotating(vec![()], move |()| work())
    }

    /// `work` on one of `places`, another in each sample: for work whose speed depends on where its data happens to lie.
    pub fn rotating<D: 'static>(places: Vec<D>, mut work: impl FnMut(&mut D) + 'static) -> Self {
        Self::in_turn(places, move |place, times| {
            for _ in 0..times {
                work(place);
            }
        })
    }

    /// `work` that does so many repetitions by itself, at most `batch` at a time, on places as in
    /// [`rotating`](Self::rotating): for what is too short to be seen beside its end, or has to be cleared up.
    pub fn batched<D: 'static>(places: Vec<D>, batch: u64, mut work: impl FnMut(&mut D, u64) + 'static) -> Self {
        Self::in_turn(places, move |place, times| {
            let mut left = times;
            while left > 0 {
                let count = left.min(batch);
                work(place, count);
                left -= count;
            }
        })
    }

    fn in_turn<D: 'static>(mut places: Vec<D>, mut work: impl FnMut(&mut D, u64) + 'static) -> Self {
        let mut next = 0;
        Self::timed(move |times| {
            let place = &mut places[next];
            let start = Instant::now();
            work(place, times);
            let took = start.elapsed();
            next = (next + 1) % places.len();
            took
        })
    }

    /// A contender that takes its time itself: one with a set-up that is not to be measured, or with threads.
    pub fn timed(work: impl FnMut(u64) -> Duration + 'static) -> Self {
        Self { work: Work::Timed(Box::new(work)), operations: 1 }
    }

    /// A contender that is measured in bytes of memory, in a process of its own for each sample. In the first process
    /// it is not run, and in its own no other contender is.
    pub fn in_child(work: fn() -> usize) -> Self {
        Self { work: Work::Child(work), operations: 1 }
    }

    /// A contender that is a program.
    pub fn program(program: Program) -> Self {
        Self { work: Work::Program(program), operations: 1 }
    }

    /// A repetition is so many operations, and what is shown is the time of one.
    pub fn operations(self, operations: u64) -> Self {
        Self { operations, ..self }
    }

    /// How many repetitions last `sample`. Warms up caches and predictors on the way.
    fn calibrate(&mut self, sample: Duration) -> u64 {
        let Work::Timed(work) = &mut self.work else { return 1 };
        let mut times = 1;
        loop {
            // The least of three: what is first touched, or was evicted, is slow once, and a sample of a few slow
            // repetitions would measure that.
            let runs = (0..3).map(|_| work(times));
            let took = runs.min().unwrap_or_default().max(Duration::from_nanos(1));
            if took >= sample {
                return times;
            }
            // At least twice as often, at most eight times, as the first repetitions are slower than the rest.
            let estimate = (times as f64 * 1.1 * sample.as_secs_f64() / took.as_secs_f64()) as u64;
            times = estimate.clamp(times * 2, times * 8);
        }
    }

    /// `size` is what a program is told.
    fn sample(&mut self, row: &str, name: &str, times: u64, size: u64) -> Sample {
        match &mut self.work {
            Work::Timed(work) => {
                Sample { value: work(times).as_secs_f64() / (times * self.operations) as f64, ran: None }
            }
            Work::Child(_) => Sample { value: child::start(row, name) as f64, ran: None },
            Work::Program(program) => {
                let ran = program.run(row, name, size);
                Sample { value: ran.cpu, ran: Some(ran) }
            }
        }
    }
}

/// What came out for a row, in its unit.
pub struct Outcome {
    pub row: &'static str,
    pub unit: Unit,
    pub ours: f64,
    /// The memory of a program at its peak, in MiB.
    pub our_peak: Option<f64>,
    /// In the order in which the row names them.
    pub peers: Vec<PeerOutcome>,
    /// Index of the best peer.
    pub best: usize,
    pub bars: &'static [Bar],
    /// What else there is to say.
    pub notes: Vec<String>,
}

pub struct PeerOutcome {
    pub name: &'static str,
    pub value: f64,
    pub peak: Option<f64>,
    /// Our value to this peer's.
    pub ratio: f64,
}

impl Outcome {
    pub fn ratio_to_best(&self) -> f64 {
        self.peers[self.best].ratio
    }

    /// What a bar speaks of: a ratio and the peer's name, or our value and `None`.
    pub fn reached(&self, against: Against) -> (f64, Option<&'static str>) {
        let peer = match against {
            Against::Nothing => return (self.ours, None),
            Against::BestPeer => &self.peers[self.best],
            Against::Peer(name) => self
                .peers
                .iter()
                .filter(|peer| peer.name.starts_with(name))
                .min_by(|a, b| a.value.total_cmp(&b.value))
                .expect("a bar names one of its row's peers"),
        };
        (peer.ratio, Some(peer.name))
    }
}

/// Measures one row.
///
/// # Panics
/// A contender fails, or two programs of the row say different things.
pub fn measure(row: &Row, plan: Plan) -> Outcome {
    let Contenders { ours, peers, size, telling } = (row.contenders)();
    let rounds_of_processes = match ours.work {
        Work::Timed(_) => None,
        Work::Child(_) => Some(plan.child_rounds),
        Work::Program(_) => Some(plan.program_rounds),
    };
    let (names, mut contenders): (Vec<&'static str>, Vec<Contender>) = [(OURS, ours)].into_iter().chain(peers).unzip();
    let times: Vec<u64> = contenders.iter_mut().map(|contender| contender.calibrate(plan.sample)).collect();
    let told = size.map_or(0, |size| if plan.small { size.quick } else { size.full });
    let mut sample = |at: usize| contenders[at].sample(row.name, names[at], times[at], told);
    let rounds = rounds_of_processes.unwrap_or_else(|| {
        let start = Instant::now();
        (0..names.len()).for_each(|at| {
            sample(at);
        });
        plan.rounds(start.elapsed())
    });

    // samples[contender][round]
    let mut samples: Vec<Vec<Sample>> = names.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        for turn in 0..names.len() {
            let at = if round % 2 == 0 { turn } else { names.len() - 1 - turn };
            samples[at].push(sample(at));
        }
    }

    let said = |samples: &[Sample]| samples[0].ran.as_ref().map(|ran| ran.said.clone());
    for (name, theirs) in names.iter().zip(&samples) {
        assert_eq!(said(&samples[0]), said(theirs), "{}: what {OURS} and {name} found out", row.name);
    }

    let (ours, theirs) = samples.split_first().expect("we always contend");
    let value = |samples: &[Sample]| row.unit.of(median(samples.iter().map(|sample| sample.value)));
    let peak = |samples: &[Sample]| {
        let peaks: Option<Vec<f64>> = samples.iter().map(|sample| sample.ran.as_ref().map(|ran| ran.peak)).collect();
        peaks.map(|peaks| Unit::Mebibytes.of(median(peaks.into_iter())))
    };
    let peers: Vec<PeerOutcome> = names[1..]
        .iter()
        .zip(theirs)
        .map(|(name, theirs)| PeerOutcome {
            name,
            value: value(theirs),
            peak: peak(theirs),
            ratio: median(ours.iter().zip(theirs).map(|(ours, theirs)| ours.value / theirs.value)),
        })
        .collect();
    let best = (0..peers.len()).min_by(|a, b| peers[*a].value.total_cmp(&peers[*b].value)).expect("a row has a peer");
    let smaller = size.filter(|size| told != size.full);
    let smaller = smaller.map(|size| format!("{} {told} instead of {}: --quick", size.what, size.full));
    Outcome {
        row: row.name,
        unit: row.unit,
        ours: value(ours),
        our_peak: peak(ours),
        peers,
        best,
        bars: row.bars,
        notes: smaller.into_iter().chain(telling.map(|tell| tell())).collect(),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

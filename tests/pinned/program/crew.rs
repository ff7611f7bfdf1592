//! [`Crew`]: the threads that run a program's steps, one at a time: the world goes to whose turn it is, and comes back.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::{Op, THREADS, World};

enum Order {
    Run(World, Vec<Op>),
    /// End, and run the steps in a destructor.
    EndWith(World, Vec<Op>),
}

type Answers = Sender<thread::Result<World>>;

struct Worker {
    orders: Sender<Order>,
    answers: Receiver<thread::Result<World>>,
    handle: JoinHandle<()>,
}

/// Number 0 is the thread that has the crew. The others are there when they are called first.
pub struct Crew {
    workers: [Option<Worker>; THREADS - 1],
}

/// Steps for the end of a thread.
struct Late {
    world: Option<World>,
    thread: usize,
    ops: Vec<Op>,
    answers: Answers,
}

thread_local!(static LATE: RefCell<Option<Late>> = const { RefCell::new(None) });

impl Drop for Late {
    fn drop(&mut self) {
        let (world, thread) = (self.world.take().expect("once"), self.thread);
        let result = catch_unwind(AssertUnwindSafe(|| world.run(thread, true, &self.ops)));
        let _ = self.answers.send(result); // who gave the order waits
    }
}

fn work(thread: usize, orders: &Receiver<Order>, answers: Answers) {
    // Registered before any of the crate's own, so that its destructor runs after theirs.
    LATE.with(|_| ());
    while let Ok(order) = orders.recv() {
        match order {
            Order::Run(world, ops) => {
                let result = catch_unwind(AssertUnwindSafe(|| world.run(thread, false, &ops)));
                let _ = answers.send(result); // as above
            }
            Order::EndWith(world, ops) => {
                LATE.set(Some(Late { world: Some(world), thread, ops, answers }));
                return;
            }
        }
    }
}

impl Worker {
    fn new(thread: usize) -> Self {
        let (orders, to_do) = channel();
        let (done, answers) = channel();
        Self { orders, answers, handle: thread::spawn(move || work(thread, &to_do, done)) }
    }

    fn order(&self, order: Order) -> World {
        self.orders.send(order).expect("the thread waits for orders");
        self.answers.recv().expect("the thread answers").unwrap_or_else(|panic| resume_unwind(panic))
    }

    fn end(self) {
        drop(self.orders);
        self.handle.join().expect("what went wrong was in the answers");
    }
}

impl Crew {
    pub fn new() -> Self {
        Self { workers: [const { None }; THREADS - 1] }
    }

    fn worker(&mut self, thread: usize) -> &mut Option<Worker> {
        &mut self.workers[thread - 1]
    }

    /// Has a thread do some steps.
    pub fn run(&mut self, thread: usize, world: World, ops: &[Op]) -> World {
        match thread {
            _ if ops.is_empty() => world,
            0 => world.run(0, false, ops),
            _ => self.worker(thread).get_or_insert_with(|| Worker::new(thread)).order(Order::Run(world, ops.to_vec())),
        }
    }

    /// Has a thread end, and do some steps after that.
    pub fn end_with(&mut self, thread: usize, world: World, ops: &[Op]) -> World {
        let worker = self.worker(thread).take().unwrap_or_else(|| Worker::new(thread));
        let world = worker.order(Order::EndWith(world, ops.to_vec()));
        worker.end();
        world
    }

    pub fn end(&mut self, thread: usize) {
        if let Some(worker) = self.worker(thread).take() {
            worker.end();
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        (1..THREADS).for_each(|thread| self.end(thread));
    }
}

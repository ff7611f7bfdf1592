//! Work on several threads, measured in the CPU time of each.
//!
//! Wall time of threads says more about who else wants the machine's few CPUs than about the work.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// CPU time that this thread has used so far.
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours, which the call writes.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "every thread has a CPU-time clock");
    Duration::new(time.tv_sec.try_into().expect("not negative"), time.tv_nsec.try_into().expect("below 10^9"))
}

/// A thread that lives from sample to sample and does what it is told, so that neither its start nor what it sets up
/// is in the samples. It ends, and drops what it set up, when the value is dropped.
pub struct Worker<Order, Result> {
    /// `None` while it is dropped.
    orders: Option<Sender<Order>>,
    results: Receiver<Result>,
    thread: Option<JoinHandle<()>>,
}

impl<Order: Send + 'static, Result: Send + 'static> Worker<Order, Result> {
    /// `set_up` runs on the thread and gives what it does with an order.
    pub fn new<Work: FnMut(Order) -> Result>(set_up: impl FnOnce() -> Work + Send + 'static) -> Self {
        let (orders, inbox) = channel();
        let (outbox, results) = channel();
        let thread = std::thread::spawn(move || {
            let mut work = set_up();
            for order in inbox {
                if outbox.send(work(order)).is_err() {
                    break;
                }
            }
        });
        Self { orders: Some(orders), results, thread: Some(thread) }
    }

    pub fn start(&self, order: Order) {
        self.orders.as_ref().and_then(|orders| orders.send(order).ok()).expect("the thread waits for orders");
    }

    /// The result of the oldest order that has none yet.
    pub fn wait(&self) -> Result {
        self.results.recv().expect("the thread does its work")
    }
}

impl<Order, Result> Drop for Worker<Order, Result> {
    fn drop(&mut self) {
        drop(self.orders.take());
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        assert!(ended || std::thread::panicking(), "a worker panicked");
    }
}

//! What a runtime does with a pinned heap: it shares it, hands its buffers to threads and kernels, and looks at its numbers.

use std::sync::{Arc, Mutex};
use std::thread;

use bhc_rts_alloc::{
    Align, AlignedSlice, AtLeast, MemoryRegion, PageAlign, PinnedHeap, Place, RegionKind, Segment, SegmentObserver,
    SimdBuffer,
};

type IoBuffer = SimdBuffer<u8, PageAlign, Arc<PinnedHeap>>;

struct Device {
    segments: Mutex<Vec<usize>>,
}

impl SegmentObserver for Device {
    fn added(&self, segment: Segment) -> bool {
        self.segments.lock().unwrap().push(segment.index);
        true
    }
    fn removed(&self, segment: Segment) -> bool {
        self.segments.lock().unwrap().retain(|index| *index != segment.index);
        true
    }
}

/// Code that takes any region, and hands out what keeps it alive.
fn buffers<R: MemoryRegion + Clone>(region: R) -> Vec<SimdBuffer<u8, PageAlign, R>> {
    let place = Place::<PageAlign>::new().within(region);
    (1..5).map(|pages| place.clone().try_zeroed(pages * 4096).unwrap()).collect()
}

fn sum<A: AtLeast<Align<64>>>(x: &AlignedSlice<f32, A>) -> f32 {
    x.iter().sum()
}

fn main() {
    let device = Arc::new(Device { segments: Mutex::default() });
    let heap = Arc::new(PinnedHeap::builder().limit(64 << 20).observer(Arc::<Device>::clone(&device)).build());
    let all: Vec<IoBuffer> = buffers(Arc::clone(&heap));
    for buffer in &all {
        let (segment, offset) = heap.locate(buffer.as_ptr()).unwrap();
        assert!(device.segments.lock().unwrap().contains(&segment.index) && offset.is_multiple_of(4096));
    }
    let threads: Vec<_> = all
        .into_iter()
        .map(|mut buffer| {
            thread::spawn(move || {
                buffer.fill(1);
                buffer
            })
        })
        .collect();
    let filled: usize =
        threads.into_iter().map(|thread| thread.join().unwrap().iter().filter(|b| **b == 1).count()).sum();
    assert_eq!(filled, 10 * 4096);

    let x = heap.alloc_buffer::<f32, Align<4096>>(1000);
    let region: &dyn MemoryRegion = &*heap;
    let y = Place::<Align<64>>::new().within(region).try_filled(10, 2.0).unwrap();
    assert_eq!((sum(&x), sum(&y), region.kind()), (0.0, 20.0, RegionKind::Pinned));
    assert!(heap.try_alloc_buffer::<u8, Align<64>>(65 << 20).is_err());
    drop((x, y));
    assert_eq!(heap.stats().current_live, 0);
    println!("{}{:?}", heap.classes(), heap.usage());
    drop(heap);
    assert!(device.segments.lock().unwrap().is_empty());
}

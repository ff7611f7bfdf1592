//! What the scopes' types must accept: the other half of `ui-tests/fail/{arena,scope}_*`, where each program is a mistake.
//!
//! Types that are too strict refuse good programs, and no run-time test would notice. So these are ordinary programs, one
//! shape each; that they compile is the promise, that they also run correctly comes with it.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::num::ParseIntError;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread;

use bhc_rts_alloc::{
    Align, AlignedSlice, ArenaBox, AtLeast, HotArena, KnownAlign, MemoryRegion, Place, Scope, SimdBuffer, TypedRegion,
    with_arena, with_thread_arena,
};

#[test]
fn outer_references_are_used_inside_an_inner_scope() {
    let mut arena = HotArena::new();
    let total = arena.scope(|outer| {
        let sum = outer.alloc(1);
        let weights = outer.alloc_slice_copy(&[10, 20]);
        outer.scope(|inner| {
            let scaled = inner.alloc_slice_from_iter(weights.iter().map(|x| x * 2));
            *sum += scaled[0] + scaled[1];
            weights[0] = 5;
        });
        *sum + weights[0]
    });
    assert_eq!(total, 66);
}

#[test]
fn a_scope_gives_its_result_by_value() {
    let mut arena = HotArena::new();
    let name: String = arena.scope(|scope| scope.alloc_str("saxpy").to_uppercase());
    let (count, shared) = arena.scope(|scope| (*scope.alloc(3), Rc::clone(&scope.alloc_box(Rc::new(4)))));
    assert_eq!((name.as_str(), count, Rc::strong_count(&shared)), ("SAXPY", 3, 1));
}

#[test]
fn a_vec_of_references_is_held_across_an_inner_scope() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let mut rows: Vec<&mut [f32]> = (1..4).map(|len| outer.alloc_slice_fill_with(len, |_| 1.0)).collect();
        outer.scope(|inner| {
            let factor = inner.alloc(2.0);
            rows.iter_mut().flat_map(|row| row.iter_mut()).for_each(|x| *x *= *factor);
        });
        rows.push(outer.alloc_slice_copy(&[0.5]));
        assert_eq!(rows.iter().flat_map(|row| row.iter()).sum::<f32>(), 12.5);
    });
}

#[test]
fn an_arena_goes_to_another_thread_and_comes_back() {
    let mut arena = HotArena::new();
    assert_eq!(*arena.alloc(1), 1);
    let (mut arena, sum) = thread::spawn(move || {
        let sum = arena.scope(|scope| *scope.alloc(2) + *scope.alloc(3));
        (arena, sum)
    })
    .join()
    .unwrap();
    assert_eq!(arena.scope(|scope| *scope.alloc(sum)), 5);
}

#[test]
fn an_allocation_is_lent_to_a_scoped_thread() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let (left, right) = scope.alloc_slice_fill_with(100, |i| i).split_at_mut(50);
        let done = scope.alloc(Cell::new(false));
        thread::scope(|threads| {
            threads.spawn(|| left.iter_mut().for_each(|x| *x += 1));
            threads.spawn(|| right.iter_mut().for_each(|x| *x -= 1));
            // This thread goes on allocating meanwhile.
            done.set(*scope.alloc(true));
        });
        assert!(done.get());
        assert_eq!(left.iter().chain(right.iter()).sum::<usize>(), 4950);
    });
}

#[test]
fn scopes_follow_each_other_and_a_reset() {
    let mut arena = HotArena::new();
    let mut sum = *arena.alloc(1);
    sum += arena.scope(|scope| *scope.alloc(2));
    arena.reset();
    sum += arena.scope(|scope| scope.scope(|inner| *inner.alloc(3)) + scope.scope(|inner| *inner.alloc(4)));
    sum += *arena.alloc(5);
    assert_eq!(sum, 15);
}

#[test]
fn an_outer_reference_is_stored_in_an_inner_allocation() {
    struct View<'a> {
        rows: &'a mut [i32],
        name: &'a str,
    }
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let rows = outer.alloc_slice_copy(&[1, 2, 3]);
        let name = outer.alloc_str("rows");
        outer.scope(|inner| {
            let view = inner.alloc(View { rows, name });
            view.rows[0] = 10;
            let views = inner.alloc_slice_fill_with(2, |_| &*view);
            assert_eq!((views[1].rows[0], views[0].name), (10, "rows"));
        });
        assert_eq!((&*rows, &*name), (&[10, 2, 3][..], "rows"));
    });
}

#[test]
fn a_helper_allocates_for_its_caller() {
    fn square<'s>(scope: &Scope<'s, '_>, x: u64) -> &'s mut u64 {
        scope.alloc(x * x)
    }
    fn aligned<'s, A: KnownAlign>(scope: &Scope<'s, '_, A>, len: usize) -> &'s mut AlignedSlice<f32, Align<64>> {
        scope.alloc_buffer(len)
    }
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let (x, y) = (square(scope, 3), square(scope, 4));
        assert_eq!(scope.scope(|inner| *square(inner, 5)), *x + *y);
        assert_eq!(aligned(scope, 10).len(), 10);
    });
    HotArena::builder().align::<Align<64>>().build().scope(|scope| aligned(scope, 10)[9] = 1.0);
}

#[test]
fn a_value_borrows_a_local_that_outlives_the_scope() {
    let samples = vec![1, 2, 3];
    let mut seen = Vec::new();
    let mut arena = HotArena::new();
    let longest = arena.scope(|scope| {
        let view = scope.alloc(&samples);
        let log = scope.alloc(&mut seen);
        log.push(view.len());
        // The borrow is the local's and not the scope's, so it may leave.
        *view
    });
    assert_eq!((longest, seen), (&samples, vec![3]));
}

#[test]
fn a_list_links_nodes_of_all_open_scopes() {
    struct Node<'a> {
        value: u32,
        next: Option<&'a Node<'a>>,
    }
    fn sum(node: &Node) -> u32 {
        node.value + node.next.map_or(0, sum)
    }
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let first = &*outer.alloc(Node { value: 1, next: None });
        outer.scope(|middle| {
            let second = &*middle.alloc(Node { value: 10, next: Some(first) });
            middle.scope(|inner| {
                let third = inner.alloc(Node { value: 100, next: Some(second) });
                assert_eq!(sum(third), 111);
            });
            assert_eq!(sum(second), 11);
        });
    });
}

#[test]
fn a_cycle_of_cells_lives_in_one_scope() {
    #[derive(Default)]
    struct Node<'a> {
        visits: Cell<u32>,
        next: Cell<Option<&'a Node<'a>>>,
    }
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let ring: &[Node] = scope.alloc_slice_fill_with(5, |_| Node::default());
        for (node, next) in ring.iter().zip(ring[1..].iter().chain(ring)) {
            node.next.set(Some(next));
        }
        let mut node = &ring[0];
        for _ in 0..12 {
            node.visits.set(node.visits.get() + 1);
            node = node.next.get().unwrap();
        }
        assert!(ring.iter().map(|node| node.visits.get()).eq([3, 3, 2, 2, 2]));
    });
}

#[test]
fn a_scope_is_left_early_with_an_error() {
    fn sum(arena: &mut HotArena, fields: &[&str]) -> Result<i32, ParseIntError> {
        arena.scope(|scope| {
            let mut total = 0;
            for field in fields {
                total += scope.scope(|inner| Ok(*inner.alloc(field.parse::<i32>()?)))?;
            }
            Ok(*scope.alloc(total))
        })
    }
    let mut arena = HotArena::new();
    assert_eq!(sum(&mut arena, &["1", "2"]), Ok(3));
    assert!(sum(&mut arena, &["1", "two"]).is_err());
    assert_eq!(sum(&mut arena, &["4", "5"]), Ok(9));
}

#[test]
fn a_recursive_helper_opens_a_scope_at_every_depth() {
    fn depth_sum(scope: &mut Scope<'_, '_>, above: &u64, depth: u64) -> u64 {
        let here = scope.alloc(above + depth);
        if depth == 0 { *here } else { *here + scope.scope(|inner| depth_sum(inner, here, depth - 1)) }
    }
    let mut arena = HotArena::new();
    // Each depth adds the sum of all depths above it and its own.
    let expected: u64 = (0..=20).map(|depth| (depth..=20).sum::<u64>()).sum();
    assert_eq!(arena.scope(|scope| depth_sum(scope, &0, 20)), expected);
}

// Beyond the thirteen.

#[test]
fn a_frozen_buffer_admits_inner_scopes() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let mut sums = Place::<Align<64>>::new().within(&*scope).with_capacity(1);
        (0..10).for_each(|i| sums.push(i));
        let sums = scope.freeze(sums);
        for i in 0..10 {
            scope.scope(|inner| sums[i] *= *inner.alloc(2));
        }
        assert_eq!(sums.iter().sum::<usize>(), 90);
        assert_eq!(scope.scope(|inner| *inner.alloc(sums[9])), 18);
    });
}

#[test]
fn an_inner_scope_hands_back_what_is_of_an_outer_one() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let (left, right) = (outer.alloc(1), outer.alloc(2));
        let larger = outer.scope(|inner| if *inner.alloc(*left) > *right { left } else { right });
        *larger += 1;
        assert_eq!(outer.scope(|_| *larger), 3);
    });
}

#[test]
fn many_exclusive_references_live_at_once() {
    // The original arena's frames took `&mut self` for each.
    let arena = HotArena::new();
    let (x, y, z) = (arena.alloc(1), arena.alloc_str("y"), arena.alloc_buffer::<f32, Align<64>>(3));
    *x += y.len();
    z[0] = 1.0;
    assert_eq!((*x, &*y, z[0]), (2, "y", 1.0));
}

#[test]
fn a_static_arena_stands_behind_a_mutex() {
    static ARENA: Mutex<HotArena> = Mutex::new(HotArena::new());
    thread::scope(|threads| {
        for i in 0..4 {
            threads.spawn(move || assert_eq!(ARENA.lock().unwrap().scope(|scope| *scope.alloc(i)), i));
        }
    });
    let mut arena = ARENA.lock().unwrap();
    assert_eq!((arena.used(), arena.stats().allocation_count), (0, 4));
    // A static is never dropped.
    arena.shrink();
}

#[test]
fn the_owner_of_an_arena_uses_its_other_fields_inside_a_scope() {
    struct Machine {
        arena: HotArena,
        steps: usize,
        log: Vec<usize>,
    }
    impl Machine {
        fn step(&mut self, input: &[usize]) {
            self.arena.scope(|scope| {
                let squares = scope.alloc_slice_from_iter(input.iter().map(|x| x * x));
                self.steps += 1;
                self.log.push(squares.iter().sum());
            });
        }
    }
    let mut machine = Machine { arena: HotArena::new(), steps: 0, log: Vec::new() };
    machine.step(&[1, 2]);
    machine.step(&[3]);
    assert_eq!((machine.steps, machine.log), (2, vec![5, 9]));
}

#[test]
fn a_value_being_made_allocates_in_the_same_scope() {
    let mut arena = HotArena::new();
    arena.scope(|scope| {
        let list = scope.alloc_with(|| Some(scope.alloc_with(|| Some(scope.alloc(3)))));
        assert_eq!(list.as_ref().and_then(|x| x.as_ref()).map(|x| **x), Some(3));
        let lens = scope.alloc_slice_from_iter((1..4).map(|len| scope.alloc_slice_fill_with(len, |i| i).len()));
        assert_eq!(lens, [1, 2, 3]);
    });
}

#[test]
fn a_box_is_kept_across_an_inner_scope_and_its_value_leaves() {
    let mut arena = HotArena::new();
    let counted = Rc::new(());
    let (kept, name) = arena.scope(|outer| {
        let kept = outer.alloc_box(Rc::clone(&counted));
        let mut name = outer.alloc_box(String::from("sax"));
        outer.scope(|inner| {
            let _gone: ArenaBox<'_, Rc<()>> = inner.alloc_box(Rc::clone(&kept));
            assert_eq!(Rc::strong_count(&counted), 3);
            name.push_str("py");
        });
        (Rc::clone(&kept), name.into_inner())
    });
    assert_eq!((Rc::strong_count(&kept), name.as_str()), (2, "saxpy"));
}

#[test]
fn generic_code_takes_an_arena_a_scope_and_either_behind_dyn() {
    fn known<R: TypedRegion<MaxAlign: AtLeast<Align<64>>>>(region: &R) -> SimdBuffer<u32, Align<64>, &R> {
        Place::<Align<64>>::new().within(region).from_fn(100, |i| i as u32)
    }
    fn asked(region: &dyn MemoryRegion) -> u32 {
        Place::<Align<64>>::new().within(region).try_from_fn(100, |i| i as u32).unwrap().iter().sum()
    }
    fn kernel<A: AtLeast<Align<16>>>(x: &AlignedSlice<u32, A>) -> u32 {
        x.iter().sum()
    }
    let mut arena = HotArena::new();
    assert_eq!(kernel(&known(&arena)) + asked(&arena), 9900);
    arena.scope(|scope| {
        let sum = kernel(&known(&*scope)) + asked(scope);
        assert_eq!(scope.scope(|inner| kernel(&known(&*inner)) + asked(inner)), sum);
    });
}

#[test]
fn a_body_is_a_function_a_named_closure_or_somebody_elses() {
    fn body(scope: &mut Scope<'_, '_>) -> u64 {
        *scope.alloc(1)
    }
    fn run<X>(arena: &mut HotArena, body: impl FnOnce(&mut Scope<'_, '_>) -> X) -> X {
        arena.scope(body)
    }
    type Step = dyn Fn(&Scope<'_, '_>) -> u64;
    fn run_all(arena: &mut HotArena, steps: &[&Step]) -> u64 {
        arena.scope(|scope| steps.iter().map(|step| step(scope)).sum())
    }
    let named = |scope: &mut Scope| *scope.alloc(10) + scope.scope(body);
    let mut arena = HotArena::new();
    assert_eq!(arena.scope(body) + arena.scope(named) + arena.scope(|scope| scope.scope(named)), 23);
    assert_eq!(with_arena(4096, body) + with_thread_arena(named), 12);
    assert_eq!(run(&mut arena, body) + run(&mut arena, |scope| *scope.alloc(100)), 101);
    assert_eq!(run_all(&mut arena, &[&|scope| *scope.alloc(1), &|scope| *scope.alloc(2)]), 3);
}

#[test]
fn callers_memory_is_the_callers_again_after_the_arena() {
    let mut memory = [MaybeUninit::<u8>::uninit(); 4096];
    let sum = HotArena::builder().over(&mut memory).scope(|scope| *scope.alloc(1) + *scope.alloc(2));
    memory.fill(MaybeUninit::new(sum));
    let mut arena = HotArena::builder().over(&mut memory);
    let x = arena.alloc(4);
    *x += sum;
    assert_eq!(*x, 7);
    assert_eq!(arena.scope(|scope| *scope.alloc(8)), 8);
}

#[test]
fn a_scope_of_a_borrowed_region_ends_before_the_region() {
    let mut backing = HotArena::new();
    let sum = backing.scope(|outer| {
        let mut arena: HotArena<Align<8>, &Scope> = HotArena::builder().within(&*outer).build();
        arena.scope(|scope| *scope.alloc(1)) + *arena.alloc(2)
    });
    assert_eq!(sum, 3);
}

#[test]
fn the_threads_arena_and_one_of_its_own_nest_in_each_other() {
    let sum = with_thread_arena(|first| {
        let x = first.alloc(1);
        let y = with_arena(4096, |own| with_thread_arena(|second| *x + *own.alloc(2) + *second.alloc(3)));
        *x + y + first.scope(|inner| *inner.alloc(10))
    });
    assert_eq!(sum, 17);
}

//! Programs are right when every allocation collects: what is not rooted for a moment, and what is not yet initialised,
//! is found out.

use bhc_rts_alloc::general::{Array, Object as _, PtrArray, Stress};
use bhc_rts_alloc::{Align, Gc, GeneralHeap, GeneralHeapBuilder, Root, gc_object};

gc_object! {
    /// A balanced tree: a map from numbers to lines of text.
    struct Tree / TreeInit {
        ptr left: Tree,
        ptr right: Tree,
        ptr text: Text,
        data key: u32,
        data height: u32,
    }
}

type Text = Array<u8, Align<16>>;

/// Every way of stressing, on every path that a collector has.
fn each_heap(mut test: impl FnMut(GeneralHeap)) {
    for stress in [
        Stress::Minor(1),
        Stress::Full(1),
        Stress::Alternating(1),
        Stress::Minor(3),
        Stress::Full(7),
        Stress::Alternating(2),
    ] {
        let builder = || GeneralHeap::builder().nursery(16 << 10).reserve(64 << 20).stress(stress).verify(true);
        let builders: [GeneralHeapBuilder; 4] =
            [builder(), builder().remembered(0), builder().quarantine(3), builder().portable()];
        builders.into_iter().for_each(|builder| test(builder.build()));
    }
}

fn height(tree: Option<&Root<Tree>>, heap: &GeneralHeap) -> u32 {
    tree.map_or(0, |tree| tree.get(heap).height)
}

type Link = Option<Root<Tree>>;

fn child(heap: &GeneralHeap, tree: &Root<Tree>, right: bool) -> Link {
    let tree = tree.get(heap);
    tree.get(if right { Tree::right } else { Tree::left }).map(|child| heap.root(child))
}

/// A node of two subtrees, whose height follows.
fn make(heap: &mut GeneralHeap, left: &Link, key: u32, text: &Root<Text>, right: &Link) -> Root<Tree> {
    let height = 1 + height(left.as_ref(), heap).max(height(right.as_ref(), heap));
    heap.new_root(TreeInit { left: left.as_ref(), right: right.as_ref(), text: Some(text), key, height })
}

/// As `make`, rotated where one of them is too high.
fn balance(heap: &mut GeneralHeap, left: &Link, key: u32, text: &Root<Text>, right: &Link) -> Root<Tree> {
    let (lefts, rights) = (height(left.as_ref(), heap), height(right.as_ref(), heap));
    if lefts.abs_diff(rights) < 2 {
        return make(heap, left, key, text, right);
    }
    let is_right = rights > lefts;
    let high = if is_right { right } else { left }.as_ref().unwrap();
    let (outer, inner) = (child(heap, high, is_right), child(heap, high, !is_right));
    let (high_key, high_text) = parts(heap, high);
    let join = |heap: &mut GeneralHeap, near: &Link, key: u32, text: &Root<Text>, far: &Link| match is_right {
        true => make(heap, near, key, text, far),
        false => make(heap, far, key, text, near),
    };
    let low = if is_right { left } else { right };
    if height(outer.as_ref(), heap) >= height(inner.as_ref(), heap) {
        let near = join(heap, low, key, text, &inner);
        return join(heap, &Some(near), high_key, &high_text, &outer);
    }
    let inner = inner.unwrap();
    let (inner_near, inner_far) = (child(heap, &inner, !is_right), child(heap, &inner, is_right));
    let (inner_key, inner_text) = parts(heap, &inner);
    let near = join(heap, low, key, text, &inner_near);
    let far = join(heap, &inner_far, high_key, &high_text, &outer);
    join(heap, &Some(near), inner_key, &inner_text, &Some(far))
}

fn parts(heap: &GeneralHeap, tree: &Root<Tree>) -> (u32, Root<Text>) {
    let tree = tree.get(heap);
    (tree.key, heap.root(tree.get(Tree::text).unwrap()))
}

fn insert(heap: &mut GeneralHeap, tree: &Link, key: u32, text: &Root<Text>) -> Root<Tree> {
    let Some(root) = tree else {
        return make(heap, &None, key, text, &None);
    };
    let (found, old) = parts(heap, root);
    let (left, right) = (child(heap, root, false), child(heap, root, true));
    match key.cmp(&found) {
        std::cmp::Ordering::Less => {
            let left = Some(insert(heap, &left, key, text));
            balance(heap, &left, found, &old, &right)
        }
        std::cmp::Ordering::Greater => {
            let right = Some(insert(heap, &right, key, text));
            balance(heap, &left, found, &old, &right)
        }
        std::cmp::Ordering::Equal => make(heap, &left, key, text, &right),
    }
}

fn walk(tree: Option<Gc<'_, Tree>>, found: &mut Vec<(u32, String)>) {
    let Some(tree) = tree else { return };
    walk(tree.get(Tree::left), found);
    let text = tree.get(Tree::text).unwrap();
    found.push((tree.key, String::from_utf8(text.to_vec()).unwrap()));
    walk(tree.get(Tree::right), found);
}

fn text(key: u32) -> String {
    format!("line {key} ").repeat(key as usize % 5)
}

#[test]
fn a_map_that_is_rebuilt_at_every_insertion_is_a_map() {
    each_heap(|mut heap| {
        let mut map: Link = None;
        for index in 0..60 {
            let key = index * 37 % 50;
            let text = heap.new_data::<u8, Align<16>>(text(key).as_bytes());
            map = Some(insert(&mut heap, &map, key, &text));
        }
        let mut found = Vec::new();
        walk(map.as_ref().map(|map| map.get(&heap)), &mut found);
        assert_eq!(found, (0..50).map(|key| (key, text(key))).collect::<Vec<_>>());
        assert!(height(map.as_ref(), &heap) <= 8);
        let stats = heap.gc_stats();
        assert!(stats.minor_collections + stats.full_collections > 50, "{stats:?}");
        drop(map);
        heap.collect(bhc_rts_alloc::general::Collection::Full);
        assert_eq!(heap.verify().unwrap().objects, 0);
    });
}

/// A graph with circles that is written over and over, by elements, in old and young objects.
#[test]
fn a_graph_that_changes_all_the_time_is_what_was_written() {
    each_heap(|mut heap| {
        let nodes: Root<PtrArray<Tree>> = heap.new_pointers(130);
        let mut lefts = [None; 130];
        for step in 0..400_u32 {
            let (at, to) = (step as usize * 17 % 130, step as usize * 29 % 130);
            let node = heap.new_root::<Tree>(TreeInit { left: None, right: None, text: None, key: step, height: 0 });
            let (array, node) = (nodes.get(&heap), node.get(&heap));
            let left = array.element(to);
            heap.set(node, Tree::left, left);
            if let Some(left) = left {
                heap.set(left, Tree::right, Some(node)); // old to young
            }
            heap.set_element(array, at, Some(node));
            lefts[at] = Some((step, left.map(|left| left.key)));
        }
        let array = nodes.get(&heap);
        for (index, left) in lefts.iter().enumerate() {
            let found = array.element(index).map(|node| (node.key, node.get(Tree::left).map(|left| left.key)));
            assert_eq!(found, *left, "element {index}");
        }
    });
}

/// What is reserved is not collected in, however often everything else is.
#[test]
fn nothing_collects_in_what_is_reserved() {
    each_heap(|mut heap| {
        let mut list: Link = None;
        for round in 0..20 {
            let space = heap.reserve(8 * Tree::BYTES);
            let before = space.heap().gc_stats();
            let mut last = list.as_ref().map(|list| list.get(space.heap()));
            for index in 0..8 {
                let init = TreeInit { left: last, right: None, text: None, key: round * 8 + index, height: 0 };
                last = Some(space.new_gc::<Tree>(init));
            }
            let after = space.heap().gc_stats();
            assert_eq!(
                before.minor_collections + before.full_collections,
                after.minor_collections + after.full_collections
            );
            list = last.map(|last| space.heap().root(last));
        }
        let mut at = list.as_ref().map(|list| list.get(&heap));
        for key in (0..160).rev() {
            let node = at.unwrap();
            assert_eq!(node.key, key);
            at = node.get(Tree::left);
        }
        assert!(at.is_none());
    });
}

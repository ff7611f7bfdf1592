//! A cycle through `Cell` lets any of its nodes name any other, so all of them are of one scope.

use std::cell::Cell;

use bhc_rts_alloc::HotArena;

#[derive(Default)]
struct Node<'a> {
    next: Cell<Option<&'a Node<'a>>>,
}

fn main() {
    let mut arena = HotArena::new();
    arena.scope(|outer| {
        let root: &Node = outer.alloc(Node::default());
        root.next.set(Some(root));
        outer.scope(|inner| {
            let leaf: &Node = inner.alloc(Node::default());
            leaf.next.set(Some(root));
            root.next.set(Some(leaf));
        });
        assert!(root.next.get().is_some());
    });
}

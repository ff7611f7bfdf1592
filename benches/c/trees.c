/* The program `binary-trees` over the header: what `OursRaw` of benches/collectors/trees.rs is, step by step, in C. What it
 * computes, and why, is said there.
 */

#include <stdlib.h>

#include "bhc_rts_alloc.h"

enum { LEAST_DEPTH = 4, NURSERY = 4 << 20 };

static const BhcInfo NODE = BHC_INFO_FIXED("Node", 2, 0);

static void push(BhcMutator *mutator, void *tree) {
  if (bhc_gc_root_push_inline(mutator, tree) != BHC_STATUS_OK) abort();
}

static void *pop(BhcMutator *mutator) { return bhc_gc_root_pop_inline(mutator); }

/* Both are trees or null. */
static void *node(BhcMutator *mutator, void *left, void *right) {
  /* What lives across an allocation is on the shadow stack only if that has to collect. */
  void *node = bhc_try_alloc_inline(mutator, &NODE);
  if (!node) {
    push(mutator, left);
    push(mutator, right);
    node = bhc_alloc(mutator, &NODE);
    if (!node) abort();
    right = pop(mutator);
    left = pop(mutator);
  }
  bhc_words(node)[0] = left;
  bhc_words(node)[1] = right;
  return node;
}

static void *make(BhcMutator *mutator, uint64_t depth) {
  if (depth == 0) return node(mutator, NULL, NULL);
  push(mutator, make(mutator, depth - 1));
  void *right = make(mutator, depth - 1);
  return node(mutator, pop(mutator), right);
}

static uint64_t count(void *node) {
  void *left = bhc_words(node)[0], *right = bhc_words(node)[1];
  return left && right ? 1 + count(left) + count(right) : 1;
}

static uint64_t short_lived(BhcMutator *mutator, uint64_t depth) { return count(make(mutator, depth)); }

/* The nodes of all trees together. */
uint64_t bench_trees(uint64_t depth) {
  BhcConfig config = bhc_config_default();
  config.nursery = NURSERY;
  BhcCapability *capability = bhc_capability_create(&config);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  if (!mutator) abort();

  uint64_t nodes = short_lived(mutator, depth + 1);
  push(mutator, make(mutator, depth));
  for (uint64_t shallow = LEAST_DEPTH; shallow <= depth; shallow += 2)
    for (uint64_t left = (uint64_t)1 << (depth - shallow + LEAST_DEPTH); left > 0; left--)
      nodes += short_lived(mutator, shallow);
  nodes += count(pop(mutator));

  if (bhc_capability_destroy(capability) != BHC_STATUS_OK) abort();
  return nodes;
}

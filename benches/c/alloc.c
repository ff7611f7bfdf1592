/* Loops over the inline fast paths of the header, for benches/rows/rts.rs, and single calls, for benches/instructions.rs.
 * The same loops in Rust are there.
 */

#include <stdlib.h>

#include "bhc_rts_alloc.h"

/* As `common::escape` of the benchmarks. */
static inline void escape(void *block) { __asm__ volatile("" : : "r"(block) : "memory"); }

/* Writes the first word of a block, as whoever allocates one does, and lets the block escape. */
#define USE(block, type, word) \
  do {                         \
    type *used = (block);      \
    if (!used) abort();        \
    *used = (type)(word);      \
    escape(used);              \
  } while (0)

/* Four blocks in each of so many rounds. */
void bench_arena_alloc(BhcArena *arena, uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; i++) {
    USE(bhc_arena_alloc_inline(arena, 16, 8), uint64_t, i);
    USE(bhc_arena_alloc_inline(arena, 64, 64), uint64_t, i);
    USE(bhc_arena_alloc_inline(arena, 40, 8), uint64_t, i);
    USE(bhc_arena_alloc_inline(arena, 12, 4), uint32_t, i);
  }
}

static const BhcInfo PAIR = BHC_INFO_FIXED("Pair", 0, 2);

static inline void pair(BhcMutator *mutator, uint64_t word) {
  void *object = bhc_alloc_inline(mutator, &PAIR);
  if (!object) abort();
  uint64_t *words = (uint64_t *)bhc_words(object);
  words[0] = words[1] = word;
  escape(object);
}

/* Four pairs in each of so many rounds. They are garbage at once. */
void bench_general_alloc(BhcMutator *mutator, uint64_t rounds) {
  for (uint64_t i = 0; i < rounds; i++) {
    pair(mutator, i);
    pair(mutator, i);
    pair(mutator, i);
    pair(mutator, i);
  }
}

/* Single calls, whose instructions are counted. */

void *count_arena_block_c(BhcArena *arena) { return bhc_arena_alloc_inline(arena, 256, 64); }

void *count_arena_values_c(BhcArena *arena) { return bhc_arena_alloc_inline(arena, 40, 8); }

void *count_arena_dynamic_c(BhcArena *arena, size_t size, size_t align) {
  return bhc_arena_alloc_inline(arena, size, align);
}

void *count_general_pair_c(BhcMutator *mutator, uint64_t first, uint64_t second) {
  void *object = bhc_alloc_inline(mutator, &PAIR);
  if (!object) return object;
  uint64_t *words = (uint64_t *)bhc_words(object);
  words[0] = first;
  words[1] = second;
  return object;
}

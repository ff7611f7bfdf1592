/* The fast paths are taken: linked so that every call of a function with a fast path comes by here (`--wrap`), and is
 * counted. Where there is room there is none. */
#include "check.h"

static size_t calls;

#define COUNTED(type, name, parameters, arguments) \
  type __real_##name parameters; \
  type __wrap_##name parameters; \
  type __wrap_##name parameters { \
    calls += 1; \
    return __real_##name arguments; \
  }

#ifdef __cplusplus
extern "C" {
#endif
COUNTED(void *, bhc_arena_alloc, (BhcArena * arena, size_t size, size_t align), (arena, size, align))
COUNTED(void *, bhc_alloc, (BhcMutator * mutator, const BhcInfo *info), (mutator, info))
COUNTED(void *, bhc_alloc_reserved, (BhcMutator * mutator, const BhcInfo *info), (mutator, info))
COUNTED(BhcStatus, bhc_gc_reserve, (BhcMutator * mutator, size_t words), (mutator, words))
COUNTED(BhcStatus, bhc_gc_safe_point, (BhcMutator * mutator), (mutator))
COUNTED(BhcStatus, bhc_gc_root_push, (BhcMutator * mutator, void *object), (mutator, object))
COUNTED(void *, bhc_gc_root_pop, (BhcMutator * mutator), (mutator))
COUNTED(void **, bhc_gc_root_slot, (BhcMutator * mutator, size_t index), (mutator, index))
COUNTED(BhcStatus, bhc_gc_remember, (BhcMutator * mutator, void *object), (mutator, object))
COUNTED(BhcStatus, bhc_gc_write_element, (BhcMutator * mutator, void *array, size_t index, void *value),
        (mutator, array, index, value))
#ifdef __cplusplus
}
#endif

static const BhcInfo NODE = BHC_INFO_FIXED("Node", 2, 1);
static const BhcInfo POINTERS = BHC_INFO_POINTERS("Pointers");
static const BhcInfo ALMOST_LARGE = BHC_INFO_FIXED("AlmostLarge", 0, BHC_LARGE_WORDS - 2);

/* So many calls since the last time. */
static int called(size_t expected) {
  size_t before = calls;
  calls = 0;
  return before == expected;
}

static void arenas(BhcArena *arena) {
  CHECK(bhc_arena_alloc_inline(arena, 8, 8) && called(1)); /* has no chunk yet */
  while (arena->limit - (size_t)arena->cursor > 1000) {
    CHECK(bhc_arena_alloc_inline(arena, 1, 1) && bhc_arena_alloc_inline(arena, 13, 64));
    CHECK(bhc_arena_alloc_inline(arena, 100, 4));
  }
  /* To the last byte, and no further. */
  CHECK(bhc_arena_alloc_inline(arena, arena->limit - (size_t)arena->cursor, 8));
  CHECK((size_t)arena->cursor == arena->limit && called(0));
  CHECK(bhc_arena_alloc_inline(arena, 1, 1) && called(1));
  CHECK(bhc_arena_alloc_inline(arena, 1, 1) && called(0));
  CHECK(bhc_arena_alloc_inline(arena, 1, 4096) && bhc_arena_alloc(arena, 8, 8));
}

static void objects(BhcMutator *mutator) {
  void *node = bhc_alloc(mutator, &NODE), *array = bhc_alloc_array(mutator, &POINTERS, 100);
  CHECK(node && array);
  memset(bhc_words(node), 0, 3 * sizeof(void *));
  calls = 0;
  CHECK_OK(bhc_gc_root_push_inline(mutator, node));
  CHECK_OK(bhc_gc_root_push_inline(mutator, array));
  CHECK_OK(bhc_gc_safe_point_inline(mutator));
  /* Young objects need no barrier. */
  CHECK_OK(bhc_gc_write_inline(mutator, node, 0, array));
  CHECK_OK(bhc_gc_write_element_inline(mutator, array, 50, node));
  CHECK(bhc_alloc_inline(mutator, &ALMOST_LARGE) && called(0));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  array = *bhc_gc_root_slot_inline(mutator, 0);
  node = *bhc_gc_root_slot_inline(mutator, 1);
  /* Old ones one, until the next collection; an array one for each card. */
  CHECK(called(0));
  for (size_t count = 0; count < 10; count++) CHECK_OK(bhc_gc_write_inline(mutator, node, count % 2, array));
  CHECK(called(1));
  for (size_t index = 0; index < 100; index++) CHECK_OK(bhc_gc_write_element_inline(mutator, array, index, node));
  CHECK(calls >= 1 && calls <= 3);
  calls = 0;
  for (size_t index = 0; index < 100; index++) CHECK_OK(bhc_gc_write_element_inline(mutator, array, index, NULL));
  CHECK(called(0));
  CHECK(bhc_gc_root_pop_inline(mutator) && bhc_gc_root_pop_inline(mutator) && called(0));
  /* To the end of the nursery, and no further. */
  size_t room = (size_t)(mutator->limit - mutator->hp);
  CHECK_OK(bhc_gc_reserve_inline(mutator, room));
  CHECK(called(0));
  for (; room >= 8; room -= 4) CHECK(bhc_alloc_inline(mutator, &NODE));
  CHECK(room % 4 == 0 && bhc_alloc_reserved_inline(mutator, &NODE) && mutator->hp == mutator->limit && called(0));
  CHECK(bhc_try_alloc_inline(mutator, &NODE) == NULL && called(0));
  CHECK(bhc_alloc_inline(mutator, &NODE) && called(1));
  /* What was reserved is there when somebody asks for a collection. */
  CHECK_OK(bhc_gc_request(bhc_capability_current(), BHC_COLLECTION_MINOR));
  CHECK(bhc_alloc_reserved_inline(mutator, &NODE) && called(0));
  CHECK_OK(bhc_gc_safe_point_inline(mutator));
  CHECK(called(1));
  /* As much as there is, and a word more. */
  CHECK(bhc_alloc_inline(mutator, &NODE) && called(0));
  room = (size_t)(mutator->limit - mutator->hp);
  CHECK_OK(bhc_gc_reserve_inline(mutator, room));
  CHECK(called(0));
  CHECK_OK(bhc_gc_reserve_inline(mutator, room + 1));
  CHECK(called(1));
}

int main(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  arenas(bhc_capability_arena(capability));
  objects(bhc_capability_mutator(capability));
  CHECK_OK(bhc_capability_destroy(capability));
  puts("all checks passed");
  return 0;
}

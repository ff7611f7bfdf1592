/* Wrong uses of memory, one a run, each of which AddressSanitizer is to end: misuse WHAT. `misuse nothing` does all that
 * the others do up to the mistake. */
#include "check.h"

static const BhcInfo PAIR = BHC_INFO_FIXED("Pair", 2, 0);

/* Not to be removed as a store that nobody reads. */
static void use(void *address) { *(volatile char *)address = 1; }

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
#define IS(name) (strcmp(what, name) == 0)
  BhcCapability *capability = bhc_capability_create(NULL);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  size_t size = opaque(100); /* A compiler that knows it finds some of these mistakes itself. */
  BhcArena *arenas[2] = {bhc_capability_arena(capability), bhc_thread_arena()};

  for (int which = 0; which < 2; which++) {
    BhcArenaMark mark;
    CHECK_OK(bhc_arena_mark(arenas[which], &mark));
    char *called = (char *)bhc_arena_alloc(arenas[which], size, 8);
    char *inlined = (char *)bhc_arena_alloc_inline(arenas[which], size, 8);
    CHECK(called && inlined);
    memset(called, 1, size);
    memset(inlined, 2, size);
    /* 100 is no multiple of 8: the rest of the unit is nobody's. */
    if (IS("arena block's end")) use(called + size);
    if (IS("inline arena block's end")) use(inlined + size);
    if (IS("arena beyond its cursor")) use(arenas[which]->cursor);
    CHECK_OK(bhc_arena_release(arenas[which], &mark));
    if (IS("arena after release")) use(called);
    if (IS("thread arena after release") && which == 1) use(inlined);
    CHECK_OK(bhc_arena_mark(arenas[which], &mark));
    inlined = (char *)bhc_arena_alloc_inline(arenas[which], 8, 8);
    CHECK(inlined == called);
    memset(inlined, 3, 8);
    if (IS("arena after release, beside what is new")) use(called + 50);
    CHECK_OK(bhc_arena_release(arenas[which], &mark));
  }

  char *block = (char *)bhc_pinned_alloc(size, 8);
  CHECK(block);
  memset(block, 1, size);
  CHECK_OK(bhc_pinned_free(block, size, 8));
  if (IS("pinned after free")) use(block);
  block = (char *)bhc_pinned_alloc(size, 8);
  CHECK(block);
  char *moved = (char *)bhc_pinned_realloc(block, size, 8, 100000);
  CHECK(moved && moved != block);
  memset(moved, 1, 100000);
  if (IS("pinned after realloc")) use(block);
  CHECK_OK(bhc_pinned_free(moved, 100000, 8));

  block = (char *)bhc_region_alloc(capability, BHC_REGION_GENERAL, size, 8);
  CHECK(block);
  memset(block, 1, size);
  CHECK_OK(bhc_region_free(capability, BHC_REGION_GENERAL, block, size, 8));
  if (IS("raw bytes after free")) use(block);

  for (int inlined = 0; inlined < 2; inlined++) {
    void *pair = inlined ? bhc_alloc_inline(mutator, &PAIR) : bhc_alloc(mutator, &PAIR);
    CHECK(pair && mutator->hp == bhc_words(pair) + 2);
    bhc_words(pair)[0] = bhc_words(pair)[1] = NULL;
    if (IS("nursery beyond hp") && !inlined) use(mutator->hp);
    if (IS("inline nursery beyond hp") && inlined) use(mutator->hp);
    CHECK_OK(bhc_gc_root_push_inline(mutator, pair));
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    CHECK(bhc_gc_root_pop_inline(mutator) != pair);
    if (IS("object that has moved")) use(pair);
  }
  char *of_arena = (char *)bhc_arena_alloc(arenas[0], size, 8);
  CHECK(of_arena);
  CHECK_OK(bhc_capability_destroy(capability));
  if (IS("arena after destroy")) use(of_arena);
  if (IS("mutator after destroy")) use(mutator);
  puts("all checks passed");
  return 0;
}

/* What the attributes of the header are for: each test here is one that a compiler can answer when it compiles, if it
 * makes use of what they say, so that nothing of it is left. What is left of a test is a call of `left_over_` with its
 * name. This is not run, nor linked.
 *
 * With WEAKER defined the tests ask for twice what is promised, and are left. With IGNORE defined answers are dropped
 * that must not be. */
#include <bhc_rts_alloc.h>

#ifdef WEAKER
#define ASKED(number) (2 * (number))
#else
#define ASKED(number) (number)
#endif

static const BhcInfo NODE = BHC_INFO_FIXED("Node", 2, 0);
static const BhcInfo POINTERS = BHC_INFO_POINTERS("Pointers");
static const BhcInfo FLOATS = BHC_INFO_DATA("Floats", 4, 6);

/* For every function of arguments that nothing is known about. */
#define ARGUMENTS BhcCapability *capability, BhcArena *arena, BhcMutator *mutator, void *old, size_t size
#define UNUSED (void)capability, (void)arena, (void)mutator, (void)old, (void)size

#ifdef __cplusplus
#define C extern "C"
#else
#define C
#endif

#ifndef IGNORE

#define ALIGNED(name, align, make) \
  C void left_over_alignment_##name(void); \
  C void *alignment_##name(ARGUMENTS) { \
    UNUSED; \
    void *block = make; \
    if (((uintptr_t)block & (ASKED(align) - 1)) != 0) left_over_alignment_##name(); \
    return block; \
  }

/* Of 100 bytes. */
#define SIZED(name, make) \
  C void left_over_sized_##name(void); \
  C void *sized_##name(ARGUMENTS) { \
    UNUSED; \
    void *block = make; \
    if (__builtin_object_size(block, 0) != ASKED(100)) left_over_sized_##name(); \
    return block; \
  }

/* What is written to memory that nobody else has leaves the rest as it is. */
#define FRESH(name, make) \
  C void left_over_fresh_##name(void); \
  C void *fresh_##name(ARGUMENTS, size_t *somebodys) { \
    UNUSED; \
    size_t before = *somebodys, *block = (size_t *)make; \
    *somebodys = before + 1; \
    *block = before; \
    if (*somebodys != before + ASKED(1)) left_over_fresh_##name(); \
    return block; \
  }

ALIGNED(pinned_alloc, 64, bhc_pinned_alloc(size, 64))
ALIGNED(pinned_alloc_zeroed, 64, bhc_pinned_alloc_zeroed(size, 64))
ALIGNED(pinned_realloc, 64, bhc_pinned_realloc(old, 10, 64, size))
ALIGNED(region_alloc, 64, bhc_region_alloc(capability, BHC_REGION_PINNED, size, 64))
ALIGNED(arena_alloc, 64, bhc_arena_alloc(arena, size, 64))
ALIGNED(arena_alloc_inline, 64, bhc_arena_alloc_inline(arena, size, 64))
ALIGNED(alloc, sizeof(void *), bhc_alloc(mutator, &NODE))
ALIGNED(alloc_array, sizeof(void *), bhc_alloc_array(mutator, &POINTERS, size))
ALIGNED(alloc_data, sizeof(void *), bhc_alloc_data(mutator, &FLOATS, size))
ALIGNED(alloc_reserved, sizeof(void *), bhc_alloc_reserved(mutator, &NODE))

SIZED(pinned_alloc, bhc_pinned_alloc(100, 64))
SIZED(pinned_alloc_zeroed, bhc_pinned_alloc_zeroed(100, 64))
SIZED(pinned_realloc, bhc_pinned_realloc(old, 10, 64, 100))
SIZED(region_alloc, bhc_region_alloc(capability, BHC_REGION_PINNED, 100, 64))
SIZED(arena_alloc, bhc_arena_alloc(arena, 100, 64))

FRESH(pinned_alloc, bhc_pinned_alloc(sizeof(size_t), 64))
FRESH(pinned_alloc_zeroed, bhc_pinned_alloc_zeroed(sizeof(size_t), 64))
FRESH(region_alloc, bhc_region_alloc(capability, BHC_REGION_PINNED, sizeof(size_t), 64))
FRESH(arena_alloc, bhc_arena_alloc(arena, sizeof(size_t), 64))
FRESH(arena_alloc_inline, bhc_arena_alloc_inline(arena, sizeof(size_t), 64))

#else

C void ignore(ARGUMENTS);
C void ignore(ARGUMENTS) {
  bhc_pinned_alloc(size, 64);
  bhc_pinned_alloc_zeroed(size, 64);
  bhc_pinned_realloc(old, 10, 64, size);
  bhc_region_alloc(capability, BHC_REGION_PINNED, size, 64);
  bhc_arena_alloc(arena, size, 64);
  bhc_arena_alloc_inline(arena, size, 64);
  bhc_alloc(mutator, &NODE);
  bhc_alloc_inline(mutator, &NODE);
  bhc_alloc_array(mutator, &POINTERS, size);
  bhc_alloc_data(mutator, &FLOATS, size);
  bhc_alloc_reserved(mutator, &NODE);
  bhc_alloc_reserved_inline(mutator, &NODE);
  bhc_try_alloc_inline(mutator, &NODE);
}

#endif

/* The inline fast paths against the functions that they stand for: after the same calls everything is the same, to the
 * last address and number. With BHC_CHECKED there is no difference to be found; then this is a test of the functions.
 *
 * inline [ROUNDS] */
#include "check.h"

typedef void *Alloc(BhcArena *, size_t, size_t);

static void *by_inline(BhcArena *arena, size_t size, size_t align) { return bhc_arena_alloc_inline(arena, size, align); }
static void *by_call(BhcArena *arena, size_t size, size_t align) { return bhc_arena_alloc(arena, size, align); }

/* What the fast path works on. */
typedef struct {
  void *block, *cursor;
  size_t limit, count, balance, used;
} State;

static State state_of(const BhcArena *arena, void *block) {
  State state = {block, arena->cursor, arena->limit, arena->count, arena->balance, bhc_arena_used(arena)};
  return state;
}

typedef struct {
  size_t size, align;
} Request;

static Request some_request(uint64_t *random) {
  uint64_t kind = random_number(random), number = random_number(random);
  Request request;
  request.size = kind % 16 == 0   ? 0
                 : kind % 16 < 12 ? 1 + number % 200
                 : kind % 16 < 15 ? 1 + number % 5000
                                  : number % 100000;
  request.align = (size_t)1 << (kind / 16 % 8 ? kind / 128 % 7 : kind / 128 % 18);
  return request;
}

enum { REQUESTS = 300 };

/* Makes the requests in a scope, and writes down how the arena stands after each. */
static void make(BhcArena *arena, Alloc *alloc, const Request *requests, size_t count, State *states) {
  BhcArenaMark mark;
  CHECK_OK(bhc_arena_mark(arena, &mark));
  for (size_t at = 0; at < count; at++) {
    void *block = alloc(arena, requests[at].size, requests[at].align);
    CHECK(block && is_aligned(block, requests[at].align));
    if (requests[at].size) memset(block, (int)at, 1);
    states[at] = state_of(arena, block);
  }
  CHECK_OK(bhc_arena_release(arena, &mark));
}

/* On one arena, which after a first time has all the chunks that it needs, in the order in which they are needed. */
static void blocks_are_at_the_same_addresses(size_t rounds) {
  static Request requests[REQUESTS];
  static State inlined[REQUESTS], called[REQUESTS];
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcArena *arena = bhc_capability_arena(capability);
  uint64_t random = 1;
  for (size_t round = 0; round < rounds; round++) {
    size_t count = 1 + random_number(&random) % REQUESTS;
    for (size_t at = 0; at < count; at++) requests[at] = some_request(&random);
    make(arena, by_call, requests, count, called);
    make(arena, by_inline, requests, count, inlined);
    make(arena, by_call, requests, count, called);
    for (size_t at = 0; at < count; at++) {
      if (memcmp(&inlined[at], &called[at], sizeof(State)) != 0) {
        fprintf(stderr, "round %zu, request %zu: %zu bytes at %zu\n", round, at, requests[at].size, requests[at].align);
        check_failed("the inline function does the same", __FILE__, __LINE__);
      }
    }
  }
  CHECK_OK(bhc_capability_destroy(capability));
}

/* On two arenas, over several scopes: all statistics. */
static void statistics_are_the_same(size_t rounds) {
  BhcCapability *capabilities[2] = {create_small(), create_small()};
  CHECK(capabilities[0] && capabilities[1]);
  uint64_t seed = 2;
  for (size_t round = 0; round < rounds; round++, seed += 1000) {
    for (int which = 0; which < 2; which++) {
      BhcArena *arena = bhc_capability_arena(capabilities[which]);
      Alloc *alloc = which ? by_inline : by_call;
      uint64_t random = seed;
      BhcArenaMark marks[8];
      int depth = 0;
      for (int step = 0; step < 100; step++) {
        uint64_t kind = random_number(&random) % 16;
        Request request = some_request(&random);
        if (kind == 0 && depth < 8) {
          CHECK_OK(bhc_arena_mark(arena, &marks[depth++]));
        } else if (kind == 1 && depth > 0) {
          depth -= 1 + (int)(random_number(&random) % (size_t)depth);
          CHECK_OK(bhc_arena_release(arena, &marks[depth]));
        } else {
          char *block = (char *)alloc(arena, request.size, request.align);
          CHECK(block);
          /* The last block is taken back, whoever gave it. */
          if (kind < 6) {
            size_t used = bhc_arena_used(arena);
            CHECK_OK(bhc_region_free(capabilities[which], BHC_REGION_HOT_ARENA, block, request.size, request.align));
            CHECK(used - bhc_arena_used(arena) == ((request.size + 7) & ~(size_t)7));
          }
        }
      }
    }
    BhcRegionStats called = stats_of(capabilities[0]).hot_arena, inlined = stats_of(capabilities[1]).hot_arena;
    CHECK(same_but_failed(called, inlined, 0));
    CHECK(called.allocation_count - called.deallocation_count == bhc_capability_arena(capabilities[1])->count);
  }
  CHECK_OK(bhc_capability_destroy(capabilities[0]));
  CHECK_OK(bhc_capability_destroy(capabilities[1]));
}

/* Where a chunk ends: what just fits, and what just does not. */
static void the_end_of_a_chunk_is_the_same(void) {
  BhcConfig config = small_config();
  config.arena_capacity = 32 << 10;
  for (size_t left = 0; left <= 264; left += 8) {
    for (size_t size = left < 80 ? 0 : left - 80; size <= left + 9; size += size + 9 < left ? 5 : 1) {
      for (size_t align = 1; align <= 128; align *= 4) {
        BhcCapability *capabilities[2];
        size_t moved[2], gap[2];
        for (int which = 0; which < 2; which++) {
          capabilities[which] = bhc_capability_create(&config);
          CHECK(capabilities[which]);
          BhcArena *arena = bhc_capability_arena(capabilities[which]);
          /* To so many bytes before the end, which is at a multiple of 64. */
          CHECK(bhc_arena_alloc(arena, arena->limit - (size_t)arena->cursor - left, 1));
          CHECK(arena->limit - (size_t)arena->cursor == left);
          uint8_t *before = arena->cursor;
          size_t limit = arena->limit;
          uint8_t *block = (uint8_t *)(which ? by_inline : by_call)(arena, size, align);
          CHECK(block && is_aligned(block, align));
          /* Whether it fits into this chunk does not depend on where that is only as far as the gap does not. */
          gap[which] = (0 - (size_t)before) & (align - 1);
          moved[which] = arena->limit == limit ? (size_t)(arena->cursor - before) : SIZE_MAX;
          size_t needed = size ? gap[which] + ((size + 7) & ~(size_t)7) : 0;
          CHECK(needed <= left ? moved[which] == needed : moved[which] == SIZE_MAX);
        }
        CHECK(gap[0] != gap[1] || moved[0] == moved[1]);
        CHECK(same_but_failed(stats_of(capabilities[0]).hot_arena, stats_of(capabilities[1]).hot_arena, 0));
        CHECK_OK(bhc_capability_destroy(capabilities[0]));
        CHECK_OK(bhc_capability_destroy(capabilities[1]));
      }
    }
  }
}

static void what_cannot_be_is_refused_alike(void) {
  static const size_t SIZES[] = {0,
                                 1,
                                 4096,
                                 ((size_t)1 << 30) - 1,
                                 (size_t)1 << 30,
                                 ((size_t)1 << 30) + 1,
                                 PTRDIFF_MAX - 4095,
                                 PTRDIFF_MAX,
                                 (size_t)PTRDIFF_MAX + 1,
                                 SIZE_MAX - 4095,
                                 SIZE_MAX - 7,
                                 SIZE_MAX};
  static const size_t ALIGNS[] = {0, 1, 3, 8, 24, 4095, 4096, 4097, 8192, (size_t)1 << 62, (size_t)1 << 63, SIZE_MAX};
  BhcConfig config = small_config();
  config.arena_limit = 64 << 10;
  BhcCapability *capabilities[2] = {bhc_capability_create(&config), bhc_capability_create(&config)};
  CHECK(capabilities[0] && capabilities[1]);
  for (size_t size = 0; size < sizeof SIZES / sizeof *SIZES; size++) {
    for (size_t align = 0; align < sizeof ALIGNS / sizeof *ALIGNS; align++) {
      BhcStatus status[2];
      for (int which = 0; which < 2; which++) {
        BhcArena *arena = bhc_capability_arena(capabilities[which]);
        BhcArenaMark mark;
        CHECK_OK(bhc_arena_mark(arena, &mark));
        CHECK(bhc_arena_alloc(arena, 1, 1));
        blur(BHC_STATUS_OK);
        void *block = (which ? by_inline : by_call)(arena, opaque(SIZES[size]), opaque(ALIGNS[align]));
        status[which] = block ? BHC_STATUS_OK : bhc_last_error();
        CHECK((block == NULL) == (status[which] != BHC_STATUS_OK));
        CHECK_OK(bhc_arena_release(arena, &mark));
      }
      CHECK(status[0] == status[1]);
      CHECK(same_but_failed(stats_of(capabilities[0]).hot_arena, stats_of(capabilities[1]).hot_arena, 0));
    }
  }
  CHECK_OK(bhc_capability_destroy(capabilities[0]));
  CHECK_OK(bhc_capability_destroy(capabilities[1]));
}

/* Blocks of a gigabyte and more, of which no byte is touched. */
static void huge_blocks_are_the_same(void) {
#if defined(__SANITIZE_ADDRESS__)
  return; /* its books would be */
#endif
  if (under_valgrind()) return;
  BhcConfig config = small_config();
  config.arena_capacity = (size_t)7 << 29;
  BhcCapability *capability = bhc_capability_create(&config);
  if (!capability) {
    fprintf(stderr, "SKIPPED: C ABI: blocks of gigabytes, which the machine does not give\n");
    return;
  }
  BhcArena *arena = bhc_capability_arena(capability);
  static const size_t SIZES[] = {((size_t)1 << 30) - 1, (size_t)1 << 30, ((size_t)1 << 30) + 1, ((size_t)3 << 29) + 5};
  for (size_t index = 0; index < sizeof SIZES / sizeof *SIZES; index++) {
    State states[2][2];
    for (int which = 0; which < 2; which++) {
      BhcArenaMark mark;
      CHECK_OK(bhc_arena_mark(arena, &mark));
      for (int count = 0; count < 2; count++) {
        void *block = (which ? by_inline : by_call)(arena, SIZES[index], count ? 4096 : 1);
        CHECK(block);
        states[which][count] = state_of(arena, block);
      }
      CHECK_OK(bhc_arena_release(arena, &mark));
    }
    CHECK(memcmp(states[0], states[1], sizeof states[0]) == 0);
  }
  CHECK_OK(bhc_capability_destroy(capability));
}

/* ---- The General Heap. ---- */

static const BhcInfo NUMBER = BHC_INFO_FIXED("Number", 0, 1);
static const BhcInfo NODE = BHC_INFO_FIXED("Node", 2, 3);
static const BhcInfo ALMOST_LARGE = BHC_INFO_FIXED("AlmostLarge", 0, BHC_LARGE_WORDS - 2);
static const BhcInfo LARGE = BHC_INFO_FIXED("Large", 0, BHC_LARGE_WORDS - 1);
static const BhcInfo LARGER = BHC_INFO_FIXED("Larger", 0, BHC_LARGE_WORDS);

/* Objects go where the nursery is, and large ones elsewhere: the same bytes, however they are made. */
static void objects_are_made_alike(void) {
  static const BhcInfo *const INFOS[] = {&NUMBER, &NODE, &ALMOST_LARGE, &LARGE, &LARGER};
  BhcConfig config = small_config();
  config.nursery = 64 << 10;
  BhcCapability *capabilities[2] = {bhc_capability_create(&config), bhc_capability_create(&config)};
  CHECK(capabilities[0] && capabilities[1]);
  uint64_t random = 3;
  for (int step = 0; step < 5000; step++) {
    uint64_t number = random_number(&random);
    const BhcInfo *info = INFOS[number % 64 < 62 ? number % 2 : 2 + number / 64 % 3];
    ptrdiff_t moved[2];
    for (int which = 0; which < 2; which++) {
      BhcMutator *mutator = bhc_capability_mutator(capabilities[which]);
      void **before = mutator->hp;
      uint64_t collections = stats_of(capabilities[which]).minor_collections;
      void *object = which ? bhc_alloc_inline(mutator, info) : bhc_alloc(mutator, info);
      CHECK(object && *(const BhcInfo **)object == info);
      moved[which] = mutator->hp - before;
      if (stats_of(capabilities[which]).minor_collections == collections) {
        int large = info->size >= BHC_LARGE_WORDS;
        CHECK(moved[which] == (large ? 0 : (ptrdiff_t)info->size) && (large || object == (void *)before));
      }
    }
    CHECK(moved[0] == moved[1]);
  }
  BhcStats called = stats_of(capabilities[0]), inlined = stats_of(capabilities[1]);
  CHECK(called.bytes_allocated == inlined.bytes_allocated && called.general_in_use == inlined.general_in_use);
  CHECK(called.minor_collections == inlined.minor_collections && called.minor_collections > 0);
  CHECK(called.full_collections == inlined.full_collections && called.failed_objects == 0);
  CHECK_OK(bhc_capability_destroy(capabilities[0]));
  CHECK_OK(bhc_capability_destroy(capabilities[1]));
}

/* An old object is remembered at the first store after a collection, a young one never. */
static void stores_are_remembered_alike(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  for (int count = 0; count < 50; count++) {
    void *node = bhc_alloc(mutator, &NODE);
    CHECK(node);
    memset(bhc_words(node), 0, 5 * sizeof(void *));
    CHECK_OK(bhc_gc_root_push(mutator, node));
  }
  uint64_t random = 4, expected = 0;
  for (int round = 0; round < 40; round++) {
    char stored[50] = {0};
    for (int step = 0; step < 30; step++) {
      size_t at = random_number(&random) % 50;
      void *node = mutator->stack_top[-1 - (ptrdiff_t)at], *value = mutator->stack_top[-1 - (ptrdiff_t)(at * 7 % 50)];
      if (random_number(&random) % 2) {
        CHECK_OK(bhc_gc_write_inline(mutator, node, at % 2, value));
      } else {
        CHECK_OK(bhc_gc_write(mutator, node, at % 2, value));
      }
      CHECK(bhc_words(node)[at % 2] == value);
      if (round > 0 && !stored[at]) expected += 1;
      stored[at] = 1;
      CHECK(stats_of(capability).remembered == expected);
    }
    CHECK_OK(bhc_gc_collect(mutator, round % 4 == 3 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
  }
  CHECK_OK(bhc_gc_verify(mutator));
  CHECK_OK(bhc_capability_destroy(capability));
}

/* Of an array, every card by itself: two arrays, written in the same places, by the one and by the other function. */
static void stores_into_arrays_are_remembered_alike(void) {
  static const BhcInfo POINTERS = BHC_INFO_POINTERS("Pointers");
  BhcCapability *capabilities[2] = {create_small(), create_small()};
  CHECK(capabilities[0] && capabilities[1]);
  /* Some so small that arrays share cards, some over many cards, one that is large. */
  static const size_t LENS[] = {1, 2, 3, 5, 8, 13, 61, 62, 63, 64, 65, 126, 127, 128, 300, 700, 1000, 5000};
  enum { COUNT = sizeof LENS / sizeof *LENS };
  for (int which = 0; which < 2; which++) {
    BhcMutator *mutator = bhc_capability_mutator(capabilities[which]);
    for (int at = 0; at < COUNT; at++) {
      void *array = bhc_alloc_array(mutator, &POINTERS, LENS[at]);
      CHECK(array);
      CHECK_OK(bhc_gc_root_push(mutator, array));
    }
  }
  uint64_t seed = 6;
  for (int round = 0; round < 40; round++, seed += 100) {
    for (int step = 0; step < 60; step++) {
      for (int which = 0; which < 2; which++) {
        BhcMutator *mutator = bhc_capability_mutator(capabilities[which]);
        uint64_t random = seed * 1000 + (uint64_t)step;
        size_t at = random_number(&random) % COUNT, len = LENS[COUNT - 1 - at];
        void *array = mutator->stack_top[-1 - (ptrdiff_t)at];
        CHECK(bhc_array_len(array) == len);
        size_t index = random_number(&random) % 4 ? random_number(&random) % len : len - 1;
        void *value = bhc_alloc(mutator, &NUMBER);
        CHECK(value);
        bhc_words(value)[0] = (void *)index;
        CHECK_OK((which ? bhc_gc_write_element_inline(mutator, array, index, value)
                        : bhc_gc_write_element(mutator, array, index, value)));
        CHECK(((void **)bhc_array_elements(array))[index] == value);
      }
      CHECK(stats_of(capabilities[0]).remembered == stats_of(capabilities[1]).remembered);
    }
    for (int which = 0; which < 2; which++) {
      BhcMutator *mutator = bhc_capability_mutator(capabilities[which]);
      CHECK_OK(bhc_gc_verify(mutator));
      CHECK_OK(bhc_gc_collect(mutator, round % 4 == 3 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
      CHECK_OK(bhc_gc_verify(mutator));
      for (int at = 0; at < COUNT; at++) {
        void **elements = (void **)bhc_array_elements(mutator->stack_top[-COUNT + at]);
        for (size_t index = 0; index < LENS[at]; index++)
          CHECK(elements[index] == NULL || bhc_words(elements[index])[0] == (void *)index);
      }
    }
  }
  CHECK(stats_of(capabilities[0]).remembered > 500);
  CHECK_OK(bhc_capability_destroy(capabilities[0]));
  CHECK_OK(bhc_capability_destroy(capabilities[1]));
}

static void the_shadow_stack_is_the_same(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  uint64_t random = 5;
  size_t depth = 0;
  static void *objects[200];
  for (int count = 0; count < 200; count++) {
    objects[count] = bhc_alloc(mutator, &NUMBER);
    CHECK(objects[count]);
  }
  static void *expected[3000];
  for (int step = 0; step < 3000; step++) {
    uint64_t kind = random_number(&random) % 8;
    void **top = mutator->stack_top;
    if (kind < 5 || depth == 0) {
      void *object = objects[random_number(&random) % 200];
      CHECK_OK(kind % 2 ? bhc_gc_root_push(mutator, object) : bhc_gc_root_push_inline(mutator, object));
      expected[depth++] = object;
      CHECK(mutator->stack_top == top + 1 && *top == object);
    } else {
      void *object = kind % 2 ? bhc_gc_root_pop(mutator) : bhc_gc_root_pop_inline(mutator);
      CHECK(object == expected[--depth] && mutator->stack_top == top - 1);
    }
    CHECK(bhc_gc_root_depth(mutator) == depth);
  }
  CHECK_OK(bhc_capability_destroy(capability));
}

/* ---- What a compiler may not do. ---- */

#if defined(__GNUC__)
#define NEVER_INLINE __attribute__((noinline))
#else
#define NEVER_INLINE
#endif

/* The collector reads objects that nothing points to: what is stored in them is there. */
NEVER_INLINE static int is_stored(BhcMutator *mutator, void *marker) {
  void **next = mutator->hp;
  void *number = bhc_alloc(mutator, &NUMBER);
  bhc_words(number)[0] = marker;
  return next[1] == marker;
}

static void stores_into_forgotten_objects_are_made(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  for (size_t number = 1; number < 100; number++) CHECK(is_stored(mutator, (void *)(number * 8)));
  CHECK_OK(bhc_capability_destroy(capability));
}

int main(int argc, char **argv) {
  size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 500;
  blocks_are_at_the_same_addresses(rounds);
  statistics_are_the_same(rounds);
  if (rounds >= 100) the_end_of_a_chunk_is_the_same();
  what_cannot_be_is_refused_alike();
  huge_blocks_are_the_same();
  objects_are_made_alike();
  stores_are_remembered_alike();
  stores_into_arrays_are_remembered_alike();
  the_shadow_stack_is_the_same();
  stores_into_forgotten_objects_are_made();
  puts("all checks passed");
  return 0;
}

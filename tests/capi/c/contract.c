/* What every function of the ABI answers to what it is not made for, and that nothing is lost by it.
 *
 * Run without arguments it checks all that one process can. With the name of a mode it does that and no more: some want
 * a process of their own, as they configure the Pinned Heap, or are to die. */
#include "check.h"

static const BhcInfo PAIR = BHC_INFO_FIXED("Pair", 2, 1);
static const BhcInfo NUMBER = BHC_INFO_FIXED("Number", 0, 1);
static const BhcInfo THUNK = BHC_INFO_THUNK("Thunk", 1, 0);
static const BhcInfo LARGE = BHC_INFO_FIXED("Large", 1, 5000);
static const BhcInfo POINTERS = BHC_INFO_POINTERS("Pointers");
static const BhcInfo FLOATS = BHC_INFO_DATA("Floats", 4, 6);
static const BhcInfo WIDE = BHC_INFO_DATA("Wide", 4096, 3);
static const uint64_t BITS[1] = {2};
static const BhcInfo MIXED = BHC_INFO_BITMAP("Mixed", 3, BITS);
static const BhcInfo NO_BITS = BHC_INFO_BITMAP("NoBits", 0, BITS);

static const size_t MAX_SIZE = PTRDIFF_MAX;

/* ---- Handles: each function that has one, with everything else as it ought to be. ---- */

typedef struct {
  BhcCapability *capability;
  BhcArena *arena;
  BhcMutator *mutator;
  void *pair;
  void *array;
  void *thunk;
  BhcArenaMark mark;
  void *raw; /* Of the region General, 64 bytes at 8. */
} Handles;

typedef enum { CAPABILITY, ARENA, MUTATOR } Handle;

typedef struct {
  const char *name;
  Handle of;
  /* Whether it is refused while a root callback runs. */
  int busy;
  BhcStatus (*call)(Handles *);
} Operation;

/* Functions that answer a pointer or a number. */
static BhcStatus made(const void *what) { return what ? BHC_STATUS_OK : bhc_last_error(); }

static BhcStatus region_alloc(Handles *has, BhcRegion region) {
  void *block = bhc_region_alloc(has->capability, region, 64, 8);
  if (!block) return bhc_last_error();
  return bhc_region_free(has->capability, region, block, 64, 8);
}

static BhcStatus op_arena(Handles *has) { return made(bhc_capability_arena(has->capability)); }
static BhcStatus op_mutator(Handles *has) { return made(bhc_capability_mutator(has->capability)); }
static BhcStatus op_region_system(Handles *has) { return region_alloc(has, BHC_REGION_SYSTEM); }
static BhcStatus op_region_arena(Handles *has) { return region_alloc(has, BHC_REGION_HOT_ARENA); }
static BhcStatus op_region_pinned(Handles *has) { return region_alloc(has, BHC_REGION_PINNED); }
static BhcStatus op_region_general(Handles *has) { return region_alloc(has, BHC_REGION_GENERAL); }
static BhcStatus op_region_free(Handles *has) {
  BhcStatus status = bhc_region_free(has->capability, BHC_REGION_GENERAL, has->raw, 64, 8);
  /* As it was, for the next. */
  if (status == BHC_STATUS_OK) has->raw = bhc_region_alloc(has->capability, BHC_REGION_GENERAL, 64, 8);
  return status;
}
static BhcStatus op_stats(Handles *has) {
  BhcStats stats;
  return bhc_stats(has->capability, &stats);
}
static BhcStatus op_stats_text(Handles *has) {
  return bhc_stats_text(has->capability, NULL, 0) ? BHC_STATUS_OK : bhc_last_error();
}
static BhcStatus op_mark(Handles *has) {
  BhcArenaMark mark;
  BhcStatus status = bhc_arena_mark(has->arena, &mark);
  return status == BHC_STATUS_OK ? bhc_arena_release(has->arena, &mark) : status;
}
static BhcStatus op_release(Handles *has) {
  BhcArenaMark mark = has->mark;
  mark.arena = has->arena;
  BhcStatus status = bhc_arena_release(has->arena, &mark);
  /* As it was, for the next. */
  return status == BHC_STATUS_OK ? bhc_arena_mark(has->arena, &mark) : status;
}
static BhcStatus op_arena_alloc(Handles *has) { return made(bhc_arena_alloc(has->arena, 8, 8)); }
static BhcStatus op_used(Handles *has) {
  return bhc_arena_used(has->arena) ? BHC_STATUS_OK : bhc_last_error();
}
static BhcStatus op_alloc(Handles *has) { return made(bhc_alloc(has->mutator, &NUMBER)); }
static BhcStatus op_alloc_array(Handles *has) { return made(bhc_alloc_array(has->mutator, &FLOATS, 3)); }
static BhcStatus op_safe_point(Handles *has) { return bhc_gc_safe_point(has->mutator); }
static BhcStatus op_collect(Handles *has) { return bhc_gc_collect(has->mutator, BHC_COLLECTION_MINOR); }
static BhcStatus op_push(Handles *has) {
  BhcStatus status = bhc_gc_root_push(has->mutator, NULL);
  if (status == BHC_STATUS_OK) CHECK(bhc_gc_root_pop(has->mutator) == NULL);
  return status;
}
static BhcStatus op_pop(Handles *has) {
  void *top = bhc_gc_root_pop(has->mutator);
  if (!top) return bhc_last_error();
  return bhc_gc_root_push(has->mutator, top);
}
static BhcStatus op_depth(Handles *has) {
  return bhc_gc_root_depth(has->mutator) ? BHC_STATUS_OK : bhc_last_error();
}
static BhcStatus op_write(Handles *has) { return bhc_gc_write(has->mutator, has->pair, 0, NULL); }
static BhcStatus op_write_element(Handles *has) {
  return bhc_gc_write_element(has->mutator, has->array, 0, NULL);
}
static BhcStatus op_remember(Handles *has) { return bhc_gc_remember(has->mutator, has->pair); }
static BhcStatus op_update(Handles *has) { return bhc_gc_update(has->mutator, has->thunk, has->pair); }
static BhcStatus op_follow(Handles *has) { return made(bhc_gc_follow(has->mutator, has->pair)); }
static BhcStatus op_slot(Handles *has) { return made(bhc_gc_root_slot(has->mutator, 0)); }
static BhcStatus op_truncate(Handles *has) { return bhc_gc_root_truncate(has->mutator, 1); }
static BhcStatus op_stable(Handles *has) {
  BhcStable *stable = bhc_stable_new(has->mutator, has->pair);
  if (!stable) return bhc_last_error();
  CHECK(bhc_stable_get(stable) == has->pair);
  return bhc_stable_free(has->mutator, stable);
}
static BhcStatus op_stable_free(Handles *has) { return bhc_stable_free(has->mutator, NULL); }
static BhcStatus op_set_info(Handles *has) { return bhc_gc_set_info(has->mutator, has->pair, &PAIR); }
static BhcStatus op_alloc_reserved(Handles *has) { return made(bhc_alloc_reserved(has->mutator, &NUMBER)); }
static BhcStatus op_reserve(Handles *has) { return bhc_gc_reserve(has->mutator, 10); }
static BhcStatus op_alloc_data(Handles *has) { return made(bhc_alloc_data(has->mutator, &FLOATS, 3)); }
static BhcStatus op_verify(Handles *has) { return bhc_gc_verify(has->mutator); }

static const BhcInfo STATIC_PAIR = BHC_INFO_FIXED("StaticPair", 2, 0);
static struct {
  const BhcInfo *info;
  void *words[2];
} static_pair = {&STATIC_PAIR, {NULL, NULL}};
static BhcStatus op_register(Handles *has) { return bhc_gc_register_static(has->mutator, &static_pair); }

/* Destroying and setting the callback are checked apart: they change what the others look at. */
static BhcStatus op_destroy(Handles *has) { return bhc_capability_destroy(has->capability); }
static BhcStatus op_callback(Handles *has) { return bhc_gc_set_root_callback(has->mutator, NULL, NULL); }

static const Operation OPERATIONS[] = {
    {"bhc_capability_arena", CAPABILITY, 0, op_arena},
    {"bhc_capability_mutator", CAPABILITY, 0, op_mutator},
    {"bhc_region_alloc of System", CAPABILITY, 0, op_region_system},
    {"bhc_region_alloc of HotArena", CAPABILITY, 0, op_region_arena},
    {"bhc_region_alloc of Pinned", CAPABILITY, 0, op_region_pinned},
    {"bhc_region_alloc of General", CAPABILITY, 1, op_region_general},
    {"bhc_region_free of General", CAPABILITY, 1, op_region_free},
    {"bhc_stats", CAPABILITY, 1, op_stats},
    {"bhc_stats_text", CAPABILITY, 1, op_stats_text},
    {"bhc_arena_release", ARENA, 0, op_release},
    {"bhc_arena_mark", ARENA, 0, op_mark},
    {"bhc_arena_alloc", ARENA, 0, op_arena_alloc},
    {"bhc_arena_used", ARENA, 0, op_used},
    {"bhc_gc_write", MUTATOR, 1, op_write},
    {"bhc_gc_write_element", MUTATOR, 1, op_write_element},
    {"bhc_gc_remember", MUTATOR, 1, op_remember},
    {"bhc_gc_follow", MUTATOR, 1, op_follow},
    {"bhc_gc_update", MUTATOR, 1, op_update},
    {"bhc_gc_root_push", MUTATOR, 1, op_push},
    {"bhc_gc_root_pop", MUTATOR, 1, op_pop},
    {"bhc_gc_root_depth", MUTATOR, 1, op_depth},
    {"bhc_gc_register_static", MUTATOR, 1, op_register},
    {"bhc_gc_root_slot", MUTATOR, 1, op_slot},
    {"bhc_gc_root_truncate", MUTATOR, 1, op_truncate},
    {"bhc_stable_new", MUTATOR, 1, op_stable},
    {"bhc_stable_free", MUTATOR, 1, op_stable_free},
    {"bhc_gc_set_info", MUTATOR, 1, op_set_info},
    {"bhc_alloc_reserved", MUTATOR, 1, op_alloc_reserved},
    {"bhc_gc_verify", MUTATOR, 1, op_verify},
    {"bhc_gc_safe_point", MUTATOR, 1, op_safe_point},
    /* Those that move objects come last. */
    {"bhc_gc_reserve", MUTATOR, 1, op_reserve},
    {"bhc_alloc_data", MUTATOR, 1, op_alloc_data},
    {"bhc_alloc", MUTATOR, 1, op_alloc},
    {"bhc_alloc_array", MUTATOR, 1, op_alloc_array},
    {"bhc_gc_collect", MUTATOR, 1, op_collect},
};
static const size_t OPERATION_COUNT = sizeof OPERATIONS / sizeof *OPERATIONS;

static void all_answer(Handles *has, BhcStatus expected, int only) {
  for (size_t index = 0; index < OPERATION_COUNT; index++) {
    const Operation *operation = &OPERATIONS[index];
    if (only >= 0 && operation->of != (Handle)only) continue;
    if (expected != BHC_STATUS_OK) blur(expected);
    BhcStatus answered = operation->call(has);
    if (answered != expected || (expected != BHC_STATUS_OK && bhc_last_error() != expected)) {
      fprintf(stderr, "%s answers %d, not %d\n", operation->name, (int)answered, (int)expected);
      check_failed("what an operation answers", __FILE__, __LINE__);
    }
  }
}

static Handles make_handles(void) {
  Handles has;
  memset(&has, 0, sizeof has);
  has.capability = create_small();
  CHECK(has.capability);
  has.arena = bhc_capability_arena(has.capability);
  has.mutator = bhc_capability_mutator(has.capability);
  CHECK(has.arena && has.mutator);
  CHECK(bhc_arena_alloc(has.arena, 8, 8));
  CHECK_OK(bhc_arena_mark(has.arena, &has.mark));
  has.raw = bhc_region_alloc(has.capability, BHC_REGION_GENERAL, 64, 8);
  CHECK(has.raw);
  has.pair = bhc_alloc(has.mutator, &PAIR);
  CHECK(has.pair);
  memset(bhc_words(has.pair), 0, 3 * sizeof(void *));
  has.array = bhc_alloc_array(has.mutator, &POINTERS, 4);
  has.thunk = bhc_alloc(has.mutator, &THUNK);
  CHECK(has.array && has.thunk);
  bhc_words(has.thunk)[0] = NULL;
  CHECK_OK(bhc_gc_root_push(has.mutator, has.pair));
  return has;
}

static void *with_foreign_handles(void *data) {
  Handles *foreign = (Handles *)data;
  /* Of a thread without any, and of one with its own. */
  for (int round = 0; round < 2; round++) {
    BhcCapability *own = bhc_capability_current();
    CHECK((own != NULL) == (round == 1));
    all_answer(foreign, BHC_STATUS_WRONG_THREAD, -1);
    CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_destroy(foreign));
    CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_callback(foreign));
    /* The one thing that other threads may do. */
    CHECK_OK(bhc_gc_request(foreign->capability, BHC_COLLECTION_MINOR));
    if (round == 0) CHECK(create_small());
  }
  CHECK_OK(bhc_capability_destroy(bhc_capability_current()));
  /* What failed here failed here only; see `errors_belong_to_threads`. */
  CHECK(bhc_last_error() == BHC_STATUS_WRONG_THREAD);
  return NULL;
}

static void handles_are_checked(void) {
  Handles has = make_handles();
  BhcStats before = stats_of(has.capability);

  /* Null. */
  Handles bad = has;
  bad.capability = NULL;
  bad.arena = NULL;
  bad.mutator = NULL;
  all_answer(&bad, BHC_STATUS_NULL_POINTER, -1);
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, op_callback(&bad));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_request(NULL, BHC_COLLECTION_FULL));
  CHECK_OK(bhc_capability_destroy(NULL));

  /* Pointers that are none of ours: memory that may not be read, memory that may, into a handle, another kind's. */
  static char elsewhere[4096];
  char *garbage[] = {(char *)opaque(8), (char *)opaque(SIZE_MAX - 7), elsewhere, elsewhere + 1,
                     (char *)has.capability + 8, (char *)has.arena + 8, (char *)has.mutator + 8};
  for (size_t index = 0; index < sizeof garbage / sizeof *garbage; index++) {
    Handles none = has;
    none.capability = (BhcCapability *)(void *)garbage[index];
    none.arena = (BhcArena *)(void *)garbage[index];
    none.mutator = (BhcMutator *)(void *)garbage[index];
    all_answer(&none, BHC_STATUS_WRONG_THREAD, -1);
    CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_destroy(&none));
    CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_callback(&none));
  }
  Handles mixed = has;
  mixed.arena = (BhcArena *)(void *)has.mutator;
  all_answer(&mixed, BHC_STATUS_WRONG_THREAD, ARENA);
  mixed.mutator = (BhcMutator *)(void *)has.arena;
  all_answer(&mixed, BHC_STATUS_WRONG_THREAD, MUTATOR);

  on_another_thread(with_foreign_handles, &has);

  /* Nothing was touched by all this, but that a collection was asked for. */
  BhcStats after = stats_of(has.capability);
  CHECK(memcmp(&before.hot_arena, &after.hot_arena, sizeof before.hot_arena) == 0);
  CHECK(memcmp(&before.general_bytes, &after.general_bytes, sizeof before.general_bytes) == 0);
  CHECK(before.bytes_allocated == after.bytes_allocated && after.minor_collections == before.minor_collections);
  CHECK_OK(bhc_gc_safe_point(has.mutator));
  CHECK(stats_of(has.capability).minor_collections == before.minor_collections + 1);

  /* The objects but the one on the shadow stack are gone with that collection. */
  has.pair = bhc_gc_root_pop(has.mutator);
  CHECK(has.pair);
  CHECK_OK(bhc_gc_root_push(has.mutator, has.pair));
  has.thunk = bhc_alloc(has.mutator, &THUNK);
  has.array = bhc_alloc_array(has.mutator, &POINTERS, 4);
  CHECK(has.thunk && has.array);
  bhc_words(has.thunk)[0] = NULL;
  all_answer(&has, BHC_STATUS_OK, -1);

  /* One that was destroyed. No new one is made before all have seen it, as that could be in its place. */
  CHECK_OK(bhc_capability_destroy(has.capability));
  all_answer(&has, BHC_STATUS_WRONG_THREAD, -1);
  CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_destroy(&has));
  CHECK_FAILS(BHC_STATUS_WRONG_THREAD, op_callback(&has));
}

/* ---- A root callback may use other things, but not its heap. ---- */

typedef struct {
  Handles has;
  BhcCapability *other;
  void *root;
  int calls;
} Busy;

static void busy_callback(BhcRootVisitor *visitor, void *data) {
  Busy *busy = (Busy *)data;
  busy->calls += 1;
  BhcArenaMark scope;
  CHECK_OK(bhc_arena_mark(busy->has.arena, &scope));
  for (size_t index = 0; index < OPERATION_COUNT; index++) {
    const Operation *operation = &OPERATIONS[index];
    BhcStatus expected = operation->busy ? BHC_STATUS_BUSY : BHC_STATUS_OK;
    blur(BHC_STATUS_BUSY);
    BhcStatus answered = operation->call(&busy->has);
    if (answered != expected || (operation->busy && bhc_last_error() != BHC_STATUS_BUSY)) {
      fprintf(stderr, "%s answers %d in a root callback\n", operation->name, (int)answered);
      check_failed("what an operation answers", __FILE__, __LINE__);
    }
  }
  CHECK_FAILS(BHC_STATUS_BUSY, op_destroy(&busy->has));
  CHECK_FAILS(BHC_STATUS_BUSY, op_callback(&busy->has));
  CHECK_OK(bhc_arena_release(busy->has.arena, &scope));
  /* Another heap of this thread is not busy. */
  BhcMutator *other = bhc_capability_mutator(busy->other);
  CHECK(bhc_alloc(other, &NUMBER));
  CHECK_OK(bhc_gc_collect(other, BHC_COLLECTION_FULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_visit_root(NULL, &busy->root));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_visit_root(visitor, NULL));
  CHECK_OK(bhc_gc_visit_root(visitor, &busy->root));
}

static void a_heap_that_collects_is_busy(void) {
  Busy busy;
  memset(&busy, 0, sizeof busy);
  busy.has = make_handles();
  busy.other = create_small();
  BhcMutator *mutator = busy.has.mutator;
  /* The callback releases the mark that is given to it, and those after it. */
  busy.root = bhc_alloc(mutator, &NUMBER);
  CHECK(busy.root && busy.other);
  bhc_words(busy.root)[0] = (void *)opaque(42);
  CHECK_OK(bhc_gc_set_root_callback(mutator, busy_callback, &busy));
  const void *before = busy.root;
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  CHECK(busy.calls == 1 && busy.root != before && bhc_words(busy.root)[0] == (void *)opaque(42));
  before = busy.root;
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  CHECK(busy.calls >= 2 && busy.root != before && bhc_words(busy.root)[0] == (void *)opaque(42));
  /* And after it nothing is refused. */
  int calls = busy.calls;
  CHECK_OK(bhc_gc_set_root_callback(mutator, NULL, NULL));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  CHECK(busy.calls == calls);
  CHECK_OK(bhc_capability_destroy(busy.has.capability));
  CHECK_OK(bhc_capability_destroy(busy.other));
}

/* ---- Errors: the status and the words. ---- */

static void *of_a_fresh_thread(void *data) {
  char buffer[8] = "xxxxxxx";
  CHECK(bhc_last_error() == BHC_STATUS_OK);
  CHECK(bhc_last_error_message(buffer, sizeof buffer) == 0 && buffer[0] == 0 && buffer[1] == 'x');
  CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, bhc_pinned_usable_size(1, opaque(3)));
  (void)data;
  return NULL;
}

static size_t last_message(const void *unused, char *buffer, size_t size) {
  (void)unused;
  return bhc_last_error_message(buffer, size);
}

static size_t statistics(const void *capability, char *buffer, size_t size) {
  return bhc_stats_text((const BhcCapability *)capability, buffer, size);
}

/* Writes as snprintf does. */
static void is_like_snprintf(size_t (*text)(const void *, char *, size_t), const void *of) {
  static char whole[4096], buffer[4096];
  size_t len = text(of, NULL, 0);
  CHECK(len > 0 && len + 8 < sizeof whole);
  /* No room, however much is said to be at a null pointer; nothing is written without any. */
  CHECK(text(of, NULL, 100) == len);
  memset(buffer, 'x', sizeof buffer);
  CHECK(text(of, buffer, 0) == len && buffer[0] == 'x');
  CHECK(text(of, whole, sizeof whole) == len && strlen(whole) == len);
  for (size_t size = 1; size < len + 4; size++) {
    memset(buffer, 'x', sizeof buffer);
    CHECK(text(of, buffer, size) == len);
    size_t written = size <= len ? size - 1 : len;
    CHECK(memcmp(buffer, whole, written) == 0 && buffer[written] == 0 && buffer[written + 1] == 'x');
  }
}

static void errors_are_told_as_status_and_words(void) {
  char message[256];
  CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, bhc_pinned_alloc(1, opaque(3)));
  CHECK(bhc_last_error_message(message, sizeof message) > 0 && strstr(message, "3 bytes"));
  is_like_snprintf(last_message, NULL);
  /* To be asked changes nothing, nor does success. */
  void *block = bhc_pinned_alloc(1, 1);
  CHECK(block);
  CHECK_OK(bhc_pinned_free(block, 1, 1));
  CHECK(bhc_last_error() == BHC_STATUS_UNSUPPORTED_ALIGNMENT && bhc_last_error() == BHC_STATUS_UNSUPPORTED_ALIGNMENT);
  on_another_thread(of_a_fresh_thread, NULL);
  CHECK(bhc_last_error() == BHC_STATUS_UNSUPPORTED_ALIGNMENT && strstr(message, "3 bytes"));

  BhcCapability *capability = create_small();
  CHECK(capability);
  is_like_snprintf(statistics, capability);
  CHECK_OK(bhc_capability_destroy(capability));
  static const char *const NAMES[] = {
      "OK", "OUT_OF_MEMORY", "REGION_EXHAUSTED", "UNSUPPORTED_ALIGNMENT", "OVERFLOW", "NULL_POINTER", "INVALID_ARGUMENT",
      "WRONG_THREAD", "BUSY", "STACK_FULL", "STACK_EMPTY", "ALREADY_IN_USE", "CORRUPT", "INTERNAL"};
  for (int32_t status = 0; status <= BHC_STATUS_INTERNAL; status++) {
    const char *name = bhc_status_name(status);
    CHECK(strncmp(name, "BHC_STATUS_", 11) == 0 && strcmp(name + 11, NAMES[status]) == 0);
  }
  CHECK(strcmp(bhc_status_name(-1), "?") == 0 && strcmp(bhc_status_name(BHC_STATUS_INTERNAL + 1), "?") == 0);
  /* Words for statuses that are easily had. */
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_arena_used(NULL));
  CHECK(bhc_last_error_message(message, sizeof message) > 0 && strstr(message, "`arena` is null"));
  CHECK_NOTHING(BHC_STATUS_WRONG_THREAD, bhc_arena_used((BhcArena *)opaque(8)));
  CHECK(bhc_last_error_message(message, sizeof message) > 0 && strstr(message, "thread"));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_pinned_alloc(opaque(MAX_SIZE - 63), 64));
  CHECK(bhc_last_error_message(message, sizeof message) > 0 && strstr(message, "9223372036854775744 bytes requested"));
}

/* ---- Capabilities. ---- */

static void the_current_capability_is_the_last_one_made(void) {
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_arena_used(NULL));
  CHECK(bhc_capability_current() == NULL && bhc_last_error() == BHC_STATUS_NULL_POINTER);
  BhcCapability *all[4];
  for (int index = 0; index < 4; index++) {
    all[index] = index ? create_small() : bhc_capability_create(NULL);
    CHECK(all[index] && bhc_capability_current() == all[index]);
  }
  /* In no order. */
  CHECK_OK(bhc_capability_destroy(all[1]));
  CHECK(bhc_capability_current() == all[3]);
  CHECK_OK(bhc_capability_destroy(all[3]));
  CHECK(bhc_capability_current() == all[2]);
  CHECK_FAILS(BHC_STATUS_WRONG_THREAD, bhc_capability_destroy(all[3]));
  CHECK(bhc_capability_arena(all[0]) && bhc_capability_arena(all[0]) == bhc_capability_arena(all[0]));
  CHECK(bhc_capability_mutator(all[0]) && bhc_capability_mutator(all[0]) != bhc_capability_mutator(all[2]));
  CHECK_OK(bhc_capability_destroy(all[0]));
  CHECK(bhc_capability_current() == all[2]);
  CHECK_OK(bhc_capability_destroy(all[2]));
  CHECK(bhc_capability_current() == NULL);
}

static void what_cannot_be_made_is_refused(void) {
  BhcConfig usual = bhc_config_default();
  CHECK(usual.arena_capacity == 0 && usual.arena_limit == 0 && usual.nursery == 0);
  CHECK(usual.general_limit == 0 && usual.general_reserve == 0 && usual.shadow_stack == 0);
  CHECK(usual.stress == 0 && usual.quarantine == 0 && !usual.verify);

  BhcCapability *there = bhc_capability_create(&usual);
  CHECK(there);
  CHECK_OK(bhc_capability_destroy(there));
  usual = small_config();
  there = bhc_capability_create(&usual);
  CHECK(there);
  BhcConfig config = usual;
  config.arena_capacity = SIZE_MAX;
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_capability_create(&config));
  config.arena_capacity = 100000;
  config.arena_limit = 1000;
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_capability_create(&config));
  config = usual;
  config.general_limit = 10000;
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_capability_create(&config));
  config = usual;
  config.general_reserve = SIZE_MAX;
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_capability_create(&config));
  config.general_reserve = (size_t)1 << 50;
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_capability_create(&config));
  config = usual;
  config.shadow_stack = SIZE_MAX;
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_capability_create(&config));
  CHECK(bhc_capability_current() == there);

  /* Each field does something. */
  config = usual;
  config.arena_capacity = 100000;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability && stats_of(capability).hot_arena_capacity >= 100000);
  CHECK(stats_of(there).hot_arena_capacity == 0);
  CHECK_OK(bhc_capability_destroy(capability));
  config = usual;
  config.nursery = 64 << 10;
  capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  while (stats_of(capability).minor_collections == 0) CHECK(bhc_alloc(mutator, &NUMBER));
  CHECK(stats_of(capability).bytes_allocated <= (64 << 10) + 2 * sizeof(void *));
  CHECK_OK(bhc_capability_destroy(capability));
  config = usual;
  config.stress = 1;
  config.verify = true;
  config.quarantine = 2;
  capability = bhc_capability_create(&config);
  CHECK(capability);
  mutator = bhc_capability_mutator(capability);
  for (int count = 0; count < 10; count++) CHECK(bhc_alloc(mutator, &NUMBER));
  CHECK(stats_of(capability).minor_collections + stats_of(capability).full_collections == 10);
  CHECK(stats_of(capability).full_collections == 5);
  CHECK_OK(bhc_capability_destroy(capability));
  CHECK_OK(bhc_capability_destroy(there));
}

static void numbers_that_are_none_are_refused(void) {
  BhcCapability *capability = create_small();
  BhcMutator *mutator = bhc_capability_mutator(capability);
  const int32_t none[] = {-1, 2, 4, 100, INT32_MIN, INT32_MAX};
  for (size_t index = 0; index < sizeof none / sizeof *none; index++) {
    CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_collect(mutator, none[index]));
    CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_request(capability, none[index]));
    if (none[index] == 2) continue; /* is a region */
    CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_region_alloc(capability, none[index], 8, 8));
    char block[8];
    CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_region_free(capability, none[index], block, 8, 8));
  }
  BhcStats stats = stats_of(capability);
  CHECK(stats.minor_collections == 0 && stats.full_collections == 0);
  CHECK_OK(bhc_gc_safe_point(mutator));
  CHECK(stats_of(capability).minor_collections == 0);
  CHECK_OK(bhc_capability_destroy(capability));
}

/* ---- Sizes and alignments, in every region. ---- */

typedef struct {
  const char *name;
  void *(*alloc)(void *, size_t, size_t);
  BhcStatus (*free)(void *, void *, size_t, size_t);
  BhcRegionStats (*stats)(void *);
  /* Whether alignments of a terabyte are refused as such. */
  int knows_alignments;
} Region;

static void *alloc_pinned(void *of, size_t size, size_t align) {
  (void)of;
  return bhc_pinned_alloc(size, align);
}
static void *alloc_zeroed(void *of, size_t size, size_t align) {
  (void)of;
  return bhc_pinned_alloc_zeroed(size, align);
}
static void *alloc_by_realloc(void *of, size_t size, size_t align) {
  (void)of;
  return bhc_pinned_realloc(NULL, 0, align, size);
}
static BhcStatus free_pinned(void *of, void *block, size_t size, size_t align) {
  (void)of;
  return bhc_pinned_free(block, size, align);
}
static BhcRegionStats of_pinned(void *of) {
  (void)of;
  return pinned_stats();
}
static void *alloc_arena(void *of, size_t size, size_t align) {
  return bhc_arena_alloc(bhc_capability_arena((BhcCapability *)of), size, align);
}
static void *alloc_arena_inline(void *of, size_t size, size_t align) {
  return bhc_arena_alloc_inline(bhc_capability_arena((BhcCapability *)of), size, align);
}
static BhcRegionStats of_arena(void *of) { return stats_of((BhcCapability *)of).hot_arena; }
static BhcRegionStats of_general(void *of) { return stats_of((BhcCapability *)of).general_bytes; }
static BhcRegionStats of_system(void *of) { return stats_of((BhcCapability *)of).system; }

#define BY_REGION(name, region) \
  static void *alloc_##name(void *of, size_t size, size_t align) { \
    return bhc_region_alloc((BhcCapability *)of, region, size, align); \
  } \
  static BhcStatus free_##name(void *of, void *block, size_t size, size_t align) { \
    return bhc_region_free((BhcCapability *)of, region, block, size, align); \
  }
BY_REGION(region_system, BHC_REGION_SYSTEM)
BY_REGION(region_arena, BHC_REGION_HOT_ARENA)
BY_REGION(region_pinned, BHC_REGION_PINNED)
BY_REGION(region_general, BHC_REGION_GENERAL)

static const Region REGIONS[] = {
    {"bhc_pinned_alloc", alloc_pinned, free_pinned, of_pinned, 1},
    {"bhc_pinned_alloc_zeroed", alloc_zeroed, free_pinned, of_pinned, 1},
    {"bhc_pinned_realloc of null", alloc_by_realloc, free_pinned, of_pinned, 1},
    {"bhc_arena_alloc", alloc_arena, free_region_arena, of_arena, 0},
    {"bhc_arena_alloc_inline", alloc_arena_inline, free_region_arena, of_arena, 0},
    {"bhc_region_alloc of System", alloc_region_system, free_region_system, of_system, 0},
    {"bhc_region_alloc of HotArena", alloc_region_arena, free_region_arena, of_arena, 0},
    {"bhc_region_alloc of Pinned", alloc_region_pinned, free_region_pinned, of_pinned, 1},
    {"bhc_region_alloc of General", alloc_region_general, free_region_general, of_general, 1},
};

static void sizes_and_alignments_of(const Region *region, void *of) {
  size_t page = 4096;
  BhcRegionStats before = region->stats(of);
  /* Zero size: an aligned address that is not null, and no block. */
  for (size_t align = 1; align <= (size_t)1 << 40; align <<= 1) {
    void *block = region->alloc(of, opaque(0), align);
    CHECK(block && is_aligned(block, align));
    CHECK_OK(region->free(of, block, 0, align));
  }
  CHECK(same_but_failed(before, region->stats(of), 0));
  /* Alignments that are none: refused before the region is asked, of whatever size. */
  const size_t none[] = {0, 3, 6, 12, 63, 65, page - 1, page + 1, SIZE_MAX, SIZE_MAX - 1, ((size_t)1 << 63) + 1};
  const size_t sizes[] = {0, 1, 8, page, MAX_SIZE, SIZE_MAX};
  for (size_t index = 0; index < sizeof none / sizeof *none; index++) {
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
      CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, region->alloc(of, opaque(sizes[size]), opaque(none[index])));
      char block[8];
      CHECK_FAILS(BHC_STATUS_UNSUPPORTED_ALIGNMENT, region->free(of, block, sizes[size], none[index]));
    }
  }
  /* Sizes that do not fit the address space together with their alignment. */
  for (size_t align = 1; align; align <<= 1) {
    for (size_t over = 1; over; over = over * 7 + 1) {
      size_t size = MAX_SIZE - (align - 1) + over;
      if (size <= MAX_SIZE - (align - 1) || over >= (size_t)1 << 60) break;
      CHECK_NOTHING(BHC_STATUS_OVERFLOW, region->alloc(of, opaque(size), align));
    }
    CHECK_NOTHING(BHC_STATUS_OVERFLOW, region->alloc(of, opaque(SIZE_MAX), align));
  }
  CHECK(same_but_failed(before, region->stats(of), 0));
  /* The largest that do: there is no such memory, and that is counted. */
  size_t failures = 0;
  for (size_t align = 1; align <= page; align <<= 1, failures++) {
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, region->alloc(of, opaque(MAX_SIZE - (align - 1)), align));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, region->alloc(of, opaque(MAX_SIZE / 2), align));
    failures++;
  }
  /* An alignment that there are no addresses for. */
  BhcStatus huge = region->knows_alignments ? BHC_STATUS_UNSUPPORTED_ALIGNMENT : BHC_STATUS_OUT_OF_MEMORY;
  if (region->knows_alignments || !under_valgrind()) { /* valgrind's malloc would give up. */
    CHECK_NOTHING(huge, region->alloc(of, 8, (size_t)1 << 50));
    failures++;
  }
  /* The arena asks the process allocator, which may be who is looked at. */
  BhcRegionStats after = region->stats(of);
  CHECK(after.failed_allocations >= before.failed_allocations + failures);
  after.failed_allocations = before.failed_allocations;
  CHECK(same_but_failed(before, after, 0));
  /* And now all goes on as ever. */
  size_t expected = 0;
  void *blocks[64];
  size_t count = 0;
  for (size_t align = 1; align <= 64 * page; align <<= 2) {
    for (size_t size = 1; size <= 8 * page; size = size * 9 + 1) {
      void *block = region->alloc(of, size, align);
      CHECK(block && is_aligned(block, align) && count < 64);
      memset(block, (int)count, size);
      blocks[count++] = block;
      expected += size;
    }
  }
  after = region->stats(of);
  CHECK(after.current_live == before.current_live + expected);
  CHECK(after.allocation_count == before.allocation_count + count);
  CHECK(after.total_allocated == before.total_allocated + expected);
  CHECK(after.peak_usage >= after.current_live);
  count = 0;
  for (size_t align = 1; align <= 64 * page; align <<= 2) {
    for (size_t size = 1; size <= 8 * page; size = size * 9 + 1) {
      const unsigned char *bytes = (const unsigned char *)blocks[count];
      for (size_t at = 0; at < size; at++) CHECK(bytes[at] == (unsigned char)count);
      CHECK_OK(region->free(of, blocks[count++], size, align));
    }
  }
  after = region->stats(of);
  CHECK(after.current_live == before.current_live);
  CHECK(after.deallocation_count == before.deallocation_count + count);
  CHECK(after.total_deallocated == before.total_deallocated + expected);
  /* To free null does nothing. */
  CHECK_OK(region->free(of, NULL, 8, 8));
  CHECK_OK(region->free(of, NULL, 0, opaque(3)));
  CHECK(same_but_failed(after, region->stats(of), 0));
}

static void sizes_and_alignments(void) {
  for (size_t index = 0; index < sizeof REGIONS / sizeof *REGIONS; index++) {
    BhcCapability *capability = create_small();
    CHECK(capability);
    /* What it holds for the next requests is not to change the process allocator's figures. */
    CHECK(bhc_arena_alloc(bhc_capability_arena(capability), 1 << 20, 8));
    sizes_and_alignments_of(&REGIONS[index], capability);
    CHECK_OK(bhc_capability_destroy(capability));
  }
  CHECK(bhc_abi_version() == BHC_ABI_VERSION);
  size_t simd = bhc_simd_alignment();
  CHECK(simd >= 8 && simd <= 4096 && (simd & (simd - 1)) == 0);
}

/* ---- Arenas. ---- */

static void arenas_that_are_full_refuse(void) {
  BhcConfig config = small_config();
  config.arena_limit = 64 << 10;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcArena *arena = bhc_capability_arena(capability);
  BhcArenaMark mark;
  CHECK_OK(bhc_arena_mark(arena, &mark));
  for (int round = 0; round < 2; round++) {
    size_t count = 0;
    unsigned char *last = NULL;
    for (;; count++) {
      unsigned char *block = (unsigned char *)bhc_arena_alloc_inline(arena, 1000, 8);
      if (!block) break;
      memset(block, (int)count, 1000);
      last = block;
    }
    CHECK(bhc_last_error() == BHC_STATUS_OUT_OF_MEMORY && count >= 32 && count <= 64 && last);
    BhcStats before = stats_of(capability);
    size_t used = bhc_arena_used(arena);
    CHECK(before.hot_arena.current_live == 1000 * count && used >= 1000 * count);
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_arena_alloc(arena, 1000, 8));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_arena_alloc_inline(arena, 64 << 10, 8));
    CHECK(same_but_failed(before.hot_arena, stats_of(capability).hot_arena, 2));
    CHECK(bhc_arena_used(arena) == used && last[999] == (unsigned char)(count - 1));
    CHECK_OK(bhc_arena_release(arena, &mark));
    CHECK(bhc_arena_used(arena) == 0 && stats_of(capability).hot_arena.current_live == 0);
    CHECK_OK(bhc_arena_mark(arena, &mark));
  }
  CHECK_OK(bhc_capability_destroy(capability));
}

static void marks_nest_and_may_be_skipped(BhcArena *arena, BhcArena *other) {
  size_t used = bhc_arena_used(arena);
  BhcArenaMark marks[20];
  size_t at[20];
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_arena_mark(arena, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_arena_release(arena, NULL));
  for (int level = 0; level < 20; level++) {
    at[level] = bhc_arena_used(arena);
    CHECK_OK(bhc_arena_mark(arena, &marks[level]));
    /* Over several chunks. */
    for (int count = 0; count < 5; count++) {
      char *block = (char *)bhc_arena_alloc_inline(arena, 997, 16);
      CHECK(block && is_aligned(block, 16));
      memset(block, level, 997);
    }
    CHECK(bhc_arena_used(arena) > at[level]);
  }
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_arena_release(other, &marks[0]));
  /* One, then four at once, by a copy of a mark. */
  for (int level = 19; level >= 0; level -= 1 + (level % 5 == 0) * 3) {
    BhcArenaMark copy = marks[level];
    memset(&marks[level], 0xff, sizeof marks[level]);
    CHECK_OK(bhc_arena_release(arena, &copy));
    CHECK(bhc_arena_used(arena) == at[level]);
    /* The memory is there for others. */
    BhcArenaMark again;
    CHECK_OK(bhc_arena_mark(arena, &again));
    char *block = (char *)bhc_arena_alloc(arena, 10000, 64);
    CHECK(block && is_aligned(block, 64));
    memset(block, 1, 10000);
    CHECK_OK(bhc_arena_release(arena, &again));
    CHECK(bhc_arena_used(arena) == at[level]);
  }
  CHECK(bhc_arena_used(arena) == used);
}

static void *with_its_own_arena(void *data) {
  BhcArena *arena = bhc_thread_arena();
  CHECK(arena && arena != (BhcArena *)data && arena == bhc_thread_arena());
  CHECK_NOTHING(BHC_STATUS_WRONG_THREAD, bhc_arena_alloc((BhcArena *)data, 8, 8));
  BhcArenaMark mark;
  CHECK_OK(bhc_arena_mark(arena, &mark));
  CHECK(bhc_arena_alloc(arena, 100, 8));
  CHECK_OK(bhc_arena_release(arena, &mark));
  return NULL;
}

static void arenas_have_scopes(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcArena *arena = bhc_capability_arena(capability), *of_thread = bhc_thread_arena();
  CHECK(arena && of_thread && arena != of_thread && of_thread == bhc_thread_arena());
  for (int round = 0; round < 3; round++) {
    marks_nest_and_may_be_skipped(arena, of_thread);
    marks_nest_and_may_be_skipped(of_thread, arena);
  }
  BhcRegionStats stats = stats_of(capability).hot_arena;
  CHECK(stats.current_live == 0 && stats.allocation_count == stats.deallocation_count);
  CHECK(stats.total_allocated == stats.total_deallocated && stats.failed_allocations == 0);
  on_another_thread(with_its_own_arena, of_thread);
  /* It is there with or without a capability. */
  CHECK_OK(bhc_capability_destroy(capability));
  CHECK(bhc_thread_arena() == of_thread && bhc_arena_alloc(of_thread, 8, 8));
}

/* ---- The end of a thread, where its own destructors still use the library. ---- */

static pthread_key_t at_the_end;
static BhcArena *kept;
static int ended;

static void use_at_the_end(void *data) {
  BhcCapability *capability = (BhcCapability *)data;
  CHECK(bhc_capability_current() == capability);
  /* The library's own have run: it does not know errors any more, nor has it an arena. */
  CHECK(bhc_thread_arena() == NULL);
  CHECK(bhc_arena_alloc(kept, 8, 8) == NULL && bhc_arena_alloc_inline(kept, 8, 8) == NULL);
  CHECK(bhc_last_error() == BHC_STATUS_OK);
  CHECK_OK(bhc_capability_destroy(capability));
  CHECK(bhc_capability_current() == NULL);
  void *block = bhc_pinned_alloc(100, 64);
  CHECK(block && is_aligned(block, 64));
  CHECK_OK(bhc_pinned_free(block, 100, 64));
  capability = create_small();
  CHECK(capability && bhc_alloc(bhc_capability_mutator(capability), &NUMBER));
  CHECK_OK(bhc_capability_destroy(capability));
  CHECK(bhc_arena_used(NULL) == 0 && bhc_pinned_alloc(1, opaque(3)) == NULL);
  ended += 1;
}

static void *until_the_end(void *data) {
  (void)data;
  /* All that the library has for a thread. */
  void *block = bhc_pinned_alloc(100, 64);
  CHECK(block);
  CHECK_OK(bhc_pinned_free(block, 100, 64));
  kept = bhc_thread_arena();
  CHECK(bhc_arena_alloc_inline(kept, 100, 8) && bhc_arena_alloc_inline(kept, 100, 8));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_arena_mark(NULL, NULL));
  CHECK(pthread_setspecific(at_the_end, create_small()) == 0);
  return NULL;
}

static void threads_end_in_order(void) {
  CHECK(pthread_key_create(&at_the_end, use_at_the_end) == 0);
  on_another_thread(until_the_end, NULL);
  CHECK(ended == 1);
  CHECK(pthread_key_delete(at_the_end) == 0);
}

/* ---- The Pinned Heap. ---- */

static void fill(void *block, size_t from, size_t to) {
  for (size_t at = from; at < to; at++) ((unsigned char *)block)[at] = (unsigned char)(at * 7 + at / 251);
}

static void has_pattern(const void *block, size_t size) {
  for (size_t at = 0; at < size; at++) CHECK(((const unsigned char *)block)[at] == (unsigned char)(at * 7 + at / 251));
}

static void reallocated_blocks_keep_their_contents(void) {
  static const size_t SIZES[] = {1, 7, 8, 9, 16, 24, 100, 1000, 1024, 1025, 4096, 10000, 65536, 65537, 300000, 4300000};
  const size_t count = sizeof SIZES / sizeof *SIZES;
  BhcRegionStats before = pinned_stats();
  for (size_t align = 1; align <= 4096; align *= 64) {
    for (size_t from = 0; from < count; from++) {
      for (size_t to = 0; to < count; to++) {
        size_t size = SIZES[from], next = SIZES[to];
        /* Blocks of megabytes once each way. */
        if (size + next > 4300000 && from != 3 && to != 3 && from != to) continue;
        if (under_valgrind() && size + next > 100000) continue;
        void *block = bhc_pinned_alloc(size, align);
        CHECK(block);
        fill(block, 0, size);
        void *moved = bhc_pinned_realloc(block, size, align, next);
        CHECK(moved && is_aligned(moved, align));
        has_pattern(moved, size < next ? size : next);
        if (size < next) fill(moved, size, next);
        CHECK(pinned_stats().current_live == before.current_live + next);
        /* What cannot be changes nothing. */
        CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_pinned_realloc(moved, next, align, opaque(MAX_SIZE - align)));
        CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_pinned_realloc(moved, next, align, opaque(SIZE_MAX)));
        CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, bhc_pinned_realloc(moved, next, opaque(3), size));
        has_pattern(moved, next);
        CHECK(pinned_stats().current_live == before.current_live + next);
        CHECK_OK(bhc_pinned_free(moved, next, align));
      }
    }
  }
  CHECK(pinned_stats().current_live == before.current_live);
  CHECK(pinned_stats().total_allocated - before.total_allocated ==
        pinned_stats().total_deallocated - before.total_deallocated);

  /* From nothing, and to nothing. */
  void *nothing = bhc_pinned_alloc(opaque(0), 64);
  void *block = bhc_pinned_realloc(nothing, 0, 64, 100);
  CHECK(block && is_aligned(block, 64) && pinned_stats().current_live == before.current_live + 100);
  nothing = bhc_pinned_realloc(block, 100, 64, opaque(0));
  CHECK(nothing && is_aligned(nothing, 64) && pinned_stats().current_live == before.current_live);
  nothing = bhc_pinned_realloc(nothing, 0, 64, opaque(0));
  CHECK(nothing && is_aligned(nothing, 64) && pinned_stats().current_live == before.current_live);
  CHECK_OK(bhc_pinned_free(nothing, 0, 64));
}

static void zeroed_blocks_are_zero(void) {
  static const size_t SIZES[] = {1, 100, 5000, 70000, 3000000};
  for (int round = 0; round < 3; round++) {
    for (size_t index = 0; index < sizeof SIZES / sizeof *SIZES; index++) {
      unsigned char *block = (unsigned char *)bhc_pinned_alloc_zeroed(SIZES[index], 32);
      CHECK(block && is_aligned(block, 32));
      for (size_t at = 0; at < SIZES[index]; at++) CHECK(block[at] == 0);
      memset(block, 0xaa, SIZES[index]);
      CHECK_OK(bhc_pinned_free(block, SIZES[index], 32));
    }
  }
}

static void blocks_of_others_are_refused(void) {
  BhcRegionStats before = pinned_stats();
  static char of_program[64];
  char of_stack[64];
  char *of_libc = (char *)malloc(64);
  BhcArena *arena = bhc_thread_arena();
  char *of_arena = (char *)bhc_arena_alloc(arena, 64, 8);
  CHECK(of_libc && of_arena);
  char *others[] = {of_program, of_stack, of_libc, of_arena, (char *)opaque(8), (char *)opaque(SIZE_MAX - 63)};
  for (size_t index = 0; index < sizeof others / sizeof *others; index++) {
    CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_free(others[index], 64, 8));
    CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_realloc(others[index], 64, 8, 128));
    CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_realloc(others[index], 64, 8, opaque(0)));
    BhcSegment segment;
    size_t offset;
    CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_locate(others[index], &segment, &offset));
  }
  free(of_libc);
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_locate(NULL, NULL, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_pinned_stats(NULL));
  CHECK(same_but_failed(before, pinned_stats(), 0));
}

static void blocks_have_a_place_and_a_size(void) {
  for (size_t size = 1; size < 3000000; size = size * 3 + 1) {
    char *block = (char *)bhc_pinned_alloc(size, 8);
    CHECK(block);
    CHECK(bhc_pinned_usable_size(size, 8) >= size);
    /* A block of the usable size is of the same size. */
    CHECK(bhc_pinned_usable_size(bhc_pinned_usable_size(size, 8), 8) == bhc_pinned_usable_size(size, 8));
    BhcSegment segment, same;
    size_t offset = 0, end = 0;
    CHECK_OK(bhc_pinned_locate(block, &segment, &offset));
    CHECK(is_aligned(segment.start, segment.size) && (char *)segment.start + offset == block && offset < segment.size);
    CHECK_OK(bhc_pinned_locate(block + size - 1, &same, &end));
    CHECK((char *)same.start + end == block + size - 1 && same.size == segment.size);
    CHECK_OK(bhc_pinned_locate(block, NULL, &end));
    CHECK_OK(bhc_pinned_locate(block, &same, NULL));
    CHECK(end == offset && same.index == segment.index && same.start == segment.start);
    CHECK_OK(bhc_pinned_locate(block, NULL, NULL));
    CHECK_OK(bhc_pinned_free(block, size, 8));
  }
  CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, bhc_pinned_usable_size(8, opaque(3)));
  CHECK_NOTHING(BHC_STATUS_UNSUPPORTED_ALIGNMENT, bhc_pinned_usable_size(8, opaque(0)));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_pinned_usable_size(opaque(SIZE_MAX), 8));
  CHECK(bhc_pinned_usable_size(0, 8) == 0);
  /* What is free can go back. */
  BhcCapability *capability = create_small();
  CHECK(capability && stats_of(capability).pinned_committed > 0);
  CHECK_OK(bhc_pinned_trim());
  CHECK(stats_of(capability).pinned_committed <= (size_t)1 << 20);
  CHECK_OK(bhc_capability_destroy(capability));
}

static void the_pinned_heap_is_configured_once_and_first(void) {
  CHECK_FAILS(BHC_STATUS_ALREADY_IN_USE, bhc_pinned_configure(0, 0));
  CHECK_FAILS(BHC_STATUS_ALREADY_IN_USE, bhc_pinned_configure(1 << 20, 1 << 22));
}

/* ---- The General Heap. ---- */

static void a_shadow_stack_is_full_or_empty(void) {
  BhcConfig config = small_config();
  config.shadow_stack = 4096;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  CHECK(bhc_gc_root_depth(mutator) == 0);
  CHECK_NOTHING(BHC_STATUS_STACK_EMPTY, bhc_gc_root_pop(mutator));
  size_t depth = 0;
  for (;; depth++) {
    BhcStatus status = depth % 2 ? bhc_gc_root_push(mutator, NULL) : bhc_gc_root_push_inline(mutator, NULL);
    if (status != BHC_STATUS_OK) break;
  }
  CHECK(bhc_last_error() == BHC_STATUS_STACK_FULL && depth >= 4096 / sizeof(void *) && depth <= 1 << 14);
  CHECK_FAILS(BHC_STATUS_STACK_FULL, bhc_gc_root_push(mutator, NULL));
  CHECK_FAILS(BHC_STATUS_STACK_FULL, bhc_gc_root_push_inline(mutator, NULL));
  CHECK(bhc_gc_root_depth(mutator) == depth);
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  blur(BHC_STATUS_STACK_EMPTY);
  for (size_t count = 0; count < depth; count++)
    CHECK((count % 2 ? bhc_gc_root_pop(mutator) : bhc_gc_root_pop_inline(mutator)) == NULL);
  /* Those were null, not nothing. */
  CHECK(bhc_last_error() == BHC_STATUS_NULL_POINTER && bhc_gc_root_depth(mutator) == 0);
  CHECK_NOTHING(BHC_STATUS_STACK_EMPTY, bhc_gc_root_pop(mutator));
  CHECK_OK(bhc_capability_destroy(capability));
}

static void a_shadow_stack_has_slots(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  CHECK_NOTHING(BHC_STATUS_STACK_EMPTY, bhc_gc_root_slot(mutator, 0));
  CHECK_FAILS(BHC_STATUS_STACK_EMPTY, bhc_gc_root_truncate(mutator, 1));
  CHECK_OK(bhc_gc_root_truncate(mutator, 0));
  for (int count = 0; count < 10; count++) {
    void *number = bhc_alloc(mutator, &NUMBER);
    CHECK(number);
    bhc_words(number)[0] = NULL;
    CHECK_OK(bhc_gc_root_push(mutator, number));
  }
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  for (size_t index = 0; index < 10; index++) {
    void **slot = bhc_gc_root_slot(mutator, index);
    CHECK(slot && slot == bhc_gc_root_slot_inline(mutator, index) && slot == mutator->stack_top - 1 - index);
    CHECK(bhc_info_of(*slot) == &NUMBER);
    *slot = NULL;
  }
  CHECK_NOTHING(BHC_STATUS_STACK_EMPTY, bhc_gc_root_slot(mutator, 10));
  CHECK_NOTHING(BHC_STATUS_STACK_EMPTY, bhc_gc_root_slot(mutator, opaque(SIZE_MAX)));
  CHECK_FAILS(BHC_STATUS_STACK_EMPTY, bhc_gc_root_truncate(mutator, 11));
  CHECK_FAILS(BHC_STATUS_STACK_EMPTY, bhc_gc_root_truncate(mutator, opaque(SIZE_MAX)));
  CHECK(bhc_gc_root_depth(mutator) == 10);
  CHECK_OK(bhc_gc_root_truncate(mutator, 10));
  CHECK_OK(bhc_gc_root_truncate(mutator, 3));
  CHECK(bhc_gc_root_depth(mutator) == 3);
  CHECK_OK(bhc_gc_root_truncate(mutator, 0));
  CHECK(bhc_gc_root_depth(mutator) == 0);
  CHECK_OK(bhc_capability_destroy(capability));
}

/* What was reserved is there, without a collection; and no more than that. */
static void reservations_are_kept(void) {
  BhcConfig config = small_config();
  config.nursery = 64 << 10;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  for (size_t count = 1; count <= 2000; count = count * 3 + 1) {
    BhcStatus reserved = count % 2 ? bhc_gc_reserve(mutator, 2 * count) : bhc_gc_reserve_inline(mutator, 2 * count);
    CHECK_OK(reserved);
    BhcStats before = stats_of(capability);
    /* Nor does a collection that somebody asks for come in between. */
    CHECK_OK(bhc_gc_request(capability, BHC_COLLECTION_FULL));
    for (size_t made = 0; made < count; made++) {
      void *number = made % 2 ? bhc_alloc_reserved(mutator, &NUMBER) : bhc_alloc_reserved_inline(mutator, &NUMBER);
      CHECK(number && bhc_info_of(number) == &NUMBER);
    }
    BhcStats after = stats_of(capability);
    CHECK(after.minor_collections == before.minor_collections && after.full_collections == before.full_collections);
    CHECK_OK(bhc_gc_safe_point_inline(mutator));
    CHECK(stats_of(capability).full_collections == before.full_collections + 1);
  }
  /* All that is left of the nursery can be had without a reservation; then nothing. */
  size_t made = 0;
  while (bhc_alloc_reserved_inline(mutator, &NUMBER)) made++;
  CHECK(bhc_last_error() == BHC_STATUS_OUT_OF_MEMORY && made > 0 && made <= (64 << 10) / (2 * sizeof(void *)));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_reserved(mutator, &NUMBER));
  CHECK(bhc_alloc(mutator, &NUMBER));
  CHECK(bhc_alloc_reserved(mutator, &NUMBER));
  CHECK_OK(bhc_gc_reserve(mutator, 0));
  CHECK_OK(bhc_gc_reserve_inline(mutator, 0));
  static const size_t WORDS[] = {(64 << 10) / sizeof(void *) + 1, 1 << 20, ((size_t)1 << 24) + 1,
                                 PTRDIFF_MAX / sizeof(void *)};
  for (size_t index = 0; index < sizeof WORDS / sizeof *WORDS; index++) {
    uint64_t failed = stats_of(capability).failed_objects;
    CHECK_FAILS(BHC_STATUS_OUT_OF_MEMORY, bhc_gc_reserve(mutator, opaque(WORDS[index])));
    CHECK_FAILS(BHC_STATUS_OUT_OF_MEMORY, bhc_gc_reserve_inline(mutator, opaque(WORDS[index])));
    CHECK(stats_of(capability).failed_objects == failed + 2);
  }
  CHECK_FAILS(BHC_STATUS_OVERFLOW, bhc_gc_reserve(mutator, opaque(SIZE_MAX)));
  CHECK_FAILS(BHC_STATUS_OVERFLOW, bhc_gc_reserve_inline(mutator, opaque(SIZE_MAX)));
  CHECK_FAILS(BHC_STATUS_OVERFLOW, bhc_gc_reserve(mutator, opaque(SIZE_MAX / sizeof(void *) + 1)));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc_reserved(mutator, NULL));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_reserved(mutator, &POINTERS));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_reserved_inline(mutator, &POINTERS));
  CHECK_OK(bhc_capability_destroy(capability));
}

static void a_general_heap_that_is_full_refuses(void) {
  BhcConfig config = small_config();
  config.general_limit = 2 << 20;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  for (int round = 0; round < 2; round++) {
    size_t count = 0;
    CHECK_OK(bhc_gc_root_push(mutator, NULL));
    for (;; count++) {
      void *pair = bhc_alloc_inline(mutator, &PAIR);
      if (!pair) break;
      bhc_words(pair)[0] = bhc_gc_root_pop_inline(mutator);
      bhc_words(pair)[1] = NULL;
      bhc_words(pair)[2] = (void *)count;
      CHECK_OK(bhc_gc_root_push_inline(mutator, pair));
    }
    CHECK(bhc_last_error() == BHC_STATUS_OUT_OF_MEMORY && count * 32 > 400000 && count * 32 < 2 << 20);
    BhcStats before = stats_of(capability);
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc(mutator, &LARGE));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_array(mutator, &FLOATS, 2 << 20));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_array(mutator, &POINTERS, 2 << 20));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_region_alloc(capability, BHC_REGION_GENERAL, 2 << 20, 8));
    BhcStats after = stats_of(capability);
    CHECK(after.failed_objects == before.failed_objects + 3 && after.bytes_allocated == before.bytes_allocated);
    CHECK(same_but_failed(before.general_bytes, after.general_bytes, 1));
    CHECK_OK(bhc_gc_verify(mutator));
    /* All that was there is. */
    void *pair = bhc_gc_root_pop(mutator);
    for (size_t left = count; left > 0; left--) {
      CHECK(pair && bhc_words(pair)[2] == (void *)(left - 1));
      pair = bhc_words(pair)[0];
    }
    CHECK(pair == NULL);
    /* It is not any more, so there is room. */
    CHECK(bhc_alloc(mutator, &LARGE));
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
    CHECK(stats_of(capability).live_after_full == 0);
  }
  CHECK_OK(bhc_capability_destroy(capability));
}

static void descriptors_are_checked(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc(mutator, NULL));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc_array(mutator, NULL, 1));
  /* Of the other kind. */
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc(mutator, &POINTERS));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc(mutator, &FLOATS));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_inline(mutator, &POINTERS));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_array(mutator, &PAIR, 1));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_array(mutator, &MIXED, 1));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_array(mutator, &THUNK, 1));

  /* Each field wrong, in each kind that looks at it. */
  static const BhcInfo *const GOOD[] = {&PAIR, &THUNK, &MIXED, &POINTERS, &FLOATS};
  static BhcInfo bad[64];
  size_t count = 0;
#define BAD(index, field, value) \
  do { \
    bad[count] = *GOOD[index]; \
    bad[count++].field = (value); \
  } while (0)
  for (int index = 0; index < 5; index++) {
    BAD(index, magic, (uint16_t)(BHC_INFO_MAGIC + 1));
    BAD(index, magic, 0);
    BAD(index, kind, 5); /* an indirection, which is the library's own */
    BAD(index, kind, 6);
    BAD(index, kind, 255);
    BAD(index, name, NULL);
    if (index < 3) BAD(index, size, 1);
  }
  BAD(0, pointers, 4);
  BAD(0, pointers, BHC_INFO_ELSEWHERE);
  BAD(1, pointers, 3);
  BAD(2, pointers, 1);
  BAD(2, bitmap, NULL);
  BAD(3, pointers, 0);
  BAD(3, size, 2);
  BAD(4, size, 2);
  BAD(4, pointers, 1);
  BAD(4, element, 0);
  BAD(4, align_log2, 2);
  BAD(4, align_log2, 16);
  BAD(4, align_log2, 255);
  BhcStats before = stats_of(capability);
  for (size_t index = 0; index < count; index++) {
    CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc(mutator, &bad[index]));
    CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_array(mutator, &bad[index], 1));
  }
  char message[256];
  CHECK(bhc_last_error_message(message, sizeof message) && strstr(message, "descriptor"));
  void *nothing = bhc_alloc(mutator, &NO_BITS);
  CHECK(nothing);
  bhc_words(nothing)[0] = (void *)opaque(8); /* nobody's word */
  CHECK_OK(bhc_gc_verify(mutator));
  before = stats_of(capability);
  /* Not where one can be. */
  static char bytes[sizeof(BhcInfo) + 16 + 8] BHC_ALIGNED(16);
  memcpy(bytes + 8, &PAIR, sizeof PAIR);
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc(mutator, (const BhcInfo *)(void *)(bytes + opaque(8))));
  BhcStats after = stats_of(capability);
  CHECK(memcmp(&before, &after, sizeof before) == 0);

  /* Lengths. */
  const size_t over = MAX_SIZE / sizeof(void *);
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_array(mutator, &POINTERS, opaque(SIZE_MAX)));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_array(mutator, &POINTERS, opaque(over)));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_array(mutator, &POINTERS, opaque(((size_t)1 << 61) + 1)));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_array(mutator, &FLOATS, opaque(MAX_SIZE / 4)));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_array(mutator, &WIDE, opaque(((size_t)1 << 52) + 1)));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_array(mutator, &POINTERS, opaque(over - 8192)));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_array(mutator, &WIDE, opaque((size_t)1 << 50)));
  /* Of no elements: an object all the same. */
  void *empty = bhc_alloc_array(mutator, &POINTERS, 0);
  CHECK(empty && bhc_array_len(empty) == 0);
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_write_element(mutator, empty, 0, NULL));
  void *array = bhc_alloc_array(mutator, &POINTERS, 3);
  CHECK(array);
  CHECK_OK(bhc_gc_write_element(mutator, array, 2, empty));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_write_element(mutator, array, 3, empty));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_write_element(mutator, array, opaque(SIZE_MAX), empty));
  void *floats = bhc_alloc_array(mutator, &FLOATS, 3);
  CHECK(floats);
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_write_element(mutator, floats, 0, empty));
  CHECK(((void **)bhc_array_elements(array))[2] == empty && bhc_array_len(array) == 3);

  /* Arrays that are not initialised are of data. */
  CHECK(bhc_alloc_data(mutator, &FLOATS, 0) && bhc_alloc_data(mutator, &WIDE, 3));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_data(mutator, &POINTERS, 1));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_alloc_data(mutator, &PAIR, 1));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc_data(mutator, NULL, 1));
  CHECK_NOTHING(BHC_STATUS_OVERFLOW, bhc_alloc_data(mutator, &FLOATS, opaque(SIZE_MAX)));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_alloc_data(mutator, &WIDE, opaque((size_t)1 << 50)));

  /* Another descriptor for the same words. */
  void *pair = bhc_alloc(mutator, &PAIR), *other = bhc_alloc_array(mutator, &POINTERS, 2);
  CHECK(pair && other);
  memset(bhc_words(pair), 0, 3 * sizeof(void *));
  static const BhcInfo OPAQUE_PAIR = BHC_INFO_FIXED("OpaquePair", 0, 3);
  CHECK_OK(bhc_gc_set_info(mutator, pair, &OPAQUE_PAIR));
  CHECK(bhc_info_of(pair) == &OPAQUE_PAIR);
  CHECK_OK(bhc_gc_set_info(mutator, pair, &PAIR));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_set_info(mutator, pair, &NUMBER));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_set_info(mutator, pair, &POINTERS));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_set_info(mutator, other, &POINTERS));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_gc_set_info(mutator, pair, &bad[0]));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_set_info(mutator, pair, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_set_info(mutator, NULL, &PAIR));
  CHECK(bhc_info_of(pair) == &PAIR);

  /* Objects that are null. */
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_stable_new(mutator, NULL));
  CHECK_OK(bhc_stable_free(mutator, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_write(mutator, NULL, 0, empty));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_write_element(mutator, NULL, 0, empty));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_remember(mutator, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_update(mutator, NULL, empty));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_register_static(mutator, NULL));
  void *thunk = bhc_alloc(mutator, &THUNK);
  CHECK(thunk);
  bhc_words(thunk)[0] = NULL;
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_update(mutator, thunk, NULL));
  CHECK(bhc_gc_follow(mutator, thunk) == thunk);
  blur(BHC_STATUS_OK);
  CHECK(bhc_gc_follow(mutator, NULL) == NULL && bhc_last_error() == BHC_STATUS_NULL_POINTER);
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_stats(capability, NULL));
  CHECK_OK(bhc_gc_verify(mutator));
  CHECK_OK(bhc_capability_destroy(capability));
}

static void a_heap_that_is_not_as_it_has_to_be_is_told(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  void *number = bhc_alloc(mutator, &NUMBER), *pair = bhc_alloc(mutator, &PAIR);
  CHECK(number && pair);
  bhc_words(number)[0] = NULL;
  bhc_words(pair)[0] = number;
  bhc_words(pair)[1] = NULL;
  CHECK_OK(bhc_gc_root_push(mutator, pair));
  CHECK_OK(bhc_gc_verify(mutator));
  /* Into the middle of an object. */
  bhc_words(pair)[1] = bhc_words(number);
  CHECK_FAILS(BHC_STATUS_CORRUPT, bhc_gc_verify(mutator));
  char message[256];
  CHECK(bhc_last_error_message(message, sizeof message) && strstr(message, "Pair"));
  bhc_words(pair)[1] = NULL;
  CHECK_OK(bhc_gc_verify(mutator));
  CHECK_OK(bhc_capability_destroy(capability));
}

static void statistics_are_exact(void) {
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  BhcArena *arena = bhc_capability_arena(capability);
  BhcRegionStats none;
  memset(&none, 0, sizeof none);
  BhcStats stats = stats_of(capability);
  CHECK(same_but_failed(none, stats.hot_arena, 0) && same_but_failed(none, stats.general_bytes, 0));
  CHECK(same_but_failed(pinned_stats(), stats.pinned, 0));
  CHECK(stats.bytes_allocated == 0 && stats.minor_collections == 0 && stats.hot_arena_capacity == 0);

  BhcArenaMark mark;
  CHECK_OK(bhc_arena_mark(arena, &mark));
  CHECK(bhc_arena_alloc(arena, 100, 8) && bhc_arena_alloc_inline(arena, 50, 8));
  CHECK_OK(bhc_arena_release(arena, &mark));
  CHECK(bhc_arena_alloc(arena, 7, 1));
  for (int count = 0; count < 3; count++) {
    void *number = bhc_alloc_inline(mutator, &NUMBER);
    CHECK(number);
    bhc_words(number)[0] = NULL;
    CHECK_OK(bhc_gc_root_push(mutator, number));
  }
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  CHECK(bhc_gc_root_pop(mutator));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  stats = stats_of(capability);
  BhcRegionStats expected = {157, 150, 7, 3, 2, 150, 0};
  CHECK(same_but_failed(expected, stats.hot_arena, 0));
  CHECK(stats.hot_arena_capacity >= 157 && stats.general_in_use > 0);
  CHECK(stats.bytes_allocated == 3 * 2 * sizeof(void *) && stats.bytes_promoted == stats.bytes_allocated);
  CHECK(stats.live_after_full == 2 * 2 * sizeof(void *) && stats.bytes_copied == stats.live_after_full);
  CHECK(stats.minor_collections >= 1 && stats.full_collections == 1 && stats.failed_objects == 0);
  CHECK(stats.longest_minor_pause <= stats.minor_pauses && stats.longest_full_pause <= stats.full_pauses);
  CHECK(stats.full_pauses > 0);

  static char text[4096];
  CHECK(bhc_stats_text(capability, text, sizeof text) < sizeof text);
  CHECK(strstr(text, "HotArena") && strstr(text, "157 B") && strstr(text, "150 B") && strstr(text, "PinnedHeap"));
  CHECK(strstr(text, "GeneralHeap") && strstr(text, "System") && strstr(text, "objects") && strstr(text, "48 B"));
  CHECK_OK(bhc_capability_destroy(capability));
}

#ifdef BHC_CHECKED
/* The names of the fast paths are then other names of what checks. */
static void with_checks_inline_functions_refuse_too(void) {
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_arena_alloc_inline(NULL, 8, 8));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc_inline(NULL, &PAIR));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_gc_root_pop_inline(NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_root_push_inline(NULL, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_safe_point_inline(NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_write_inline(NULL, NULL, 0, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_write_element_inline(NULL, NULL, 0, NULL));
  CHECK_FAILS(BHC_STATUS_NULL_POINTER, bhc_gc_reserve_inline(NULL, 1));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_alloc_reserved_inline(NULL, &PAIR));
  CHECK_NOTHING(BHC_STATUS_NULL_POINTER, bhc_gc_root_slot_inline(NULL, 0));
}
#endif

/* ---- In processes of their own. ---- */

/* A heap with a limit: what it gives ends, and goes on when something is freed. */
static void pinned_limit(void) {
  enum { MOST = 4096 };
  static void *blocks[MOST];
  CHECK_OK(bhc_pinned_configure(2 << 20, 64 << 20));
  CHECK_FAILS(BHC_STATUS_ALREADY_IN_USE, bhc_pinned_configure(2 << 20, 64 << 20));
  static const size_t SIZES[] = {1000, 40000, 200000};
  for (size_t kind = 0; kind < 3; kind++) {
    size_t size = SIZES[kind], count = 0;
    while (count < MOST && (blocks[count] = bhc_pinned_alloc(size, 64)) != NULL) count++;
    CHECK(count < MOST && bhc_last_error() == BHC_STATUS_OUT_OF_MEMORY && count * size > 1 << 20);
    CHECK(count * size <= 2 << 20);
    BhcRegionStats before = pinned_stats();
    CHECK(before.current_live == count * size);
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_pinned_alloc_zeroed(size, 64));
    CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_pinned_realloc(blocks[0], size, 64, 2 << 20));
    CHECK(same_but_failed(before, pinned_stats(), 2));
    CHECK_OK(bhc_pinned_free(blocks[--count], size, 64));
    blocks[count] = bhc_pinned_alloc(size, 64);
    CHECK(blocks[count]);
    count++;
    while (count > 0) CHECK_OK(bhc_pinned_free(blocks[--count], size, 64));
    CHECK(pinned_stats().current_live == 0);
  }
  /* A capability has the same heap. */
  BhcCapability *capability = create_small();
  CHECK(capability);
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_region_alloc(capability, BHC_REGION_PINNED, 3 << 20, 8));
  CHECK_OK(bhc_capability_destroy(capability));
}

/* As small as it can be: no addresses rather than no memory. */
static void pinned_reserve(void) {
  CHECK_OK(bhc_pinned_configure(0, 4 << 20));
  CHECK_NOTHING(BHC_STATUS_OUT_OF_MEMORY, bhc_pinned_alloc(16 << 20, 8));
  void *block = bhc_pinned_alloc(100, 8);
  CHECK(block);
  CHECK_OK(bhc_pinned_free(block, 100, 8));
}

/* What looks at the heap makes none. */
static void pinned_untouched(void) {
  CHECK(pinned_stats().total_allocated == 0);
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_locate(&PAIR, NULL, NULL));
  CHECK_FAILS(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_free((void *)opaque(64), 8, 8));
  CHECK_NOTHING(BHC_STATUS_INVALID_ARGUMENT, bhc_pinned_realloc((void *)opaque(64), 8, 8, 16));
  CHECK_OK(bhc_pinned_free(NULL, 8, 8));
  CHECK_OK(bhc_pinned_free((void *)opaque(8), 0, 8));
  CHECK(bhc_pinned_usable_size(100, 8) >= 100);
  CHECK_OK(bhc_pinned_trim());
  CHECK_OK(bhc_pinned_configure(0, 0));
  CHECK_FAILS(BHC_STATUS_ALREADY_IN_USE, bhc_pinned_configure(0, 0));
  void *block = bhc_pinned_alloc(1 << 20, 8);
  CHECK(block && pinned_stats().current_live == 1 << 20);
  CHECK_OK(bhc_pinned_free(block, 1 << 20, 8));
}

/* The process ends here, with a message. */
static void free_twice(size_t size) {
  void *block = bhc_pinned_alloc(size, 8);
  CHECK(block);
  CHECK_OK(bhc_pinned_free(block, size, 8));
  (void)bhc_pinned_free(block, size, 8);
  (void)bhc_pinned_trim();
}

/* Ends the program, as memory that objects were moved out of is in quarantine. */
static void read_what_has_moved(void) {
  BhcConfig config = small_config();
  config.quarantine = 8;
  BhcMutator *mutator = bhc_capability_mutator(bhc_capability_create(&config));
  void *pair = bhc_alloc(mutator, &PAIR);
  CHECK(pair);
  bhc_words(pair)[0] = bhc_words(pair)[1] = NULL;
  CHECK_OK(bhc_gc_root_push(mutator, pair));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  CHECK(bhc_words(*bhc_gc_root_slot(mutator, 0))[0] == NULL);
  fputs("the root is read\n", stderr);
  printf("a stale pointer was read: %p\n", *(void *volatile *)bhc_words(pair));
}

/* As above: the collector looks at a heap that is not as it has to be. */
static void collect_what_is_corrupt(void) {
  BhcConfig config = small_config();
  config.verify = true;
  BhcMutator *mutator = bhc_capability_mutator(bhc_capability_create(&config));
  void *pair = bhc_alloc(mutator, &PAIR);
  CHECK(pair);
  bhc_words(pair)[0] = pair;
  bhc_words(pair)[1] = NULL;
  CHECK_OK(bhc_gc_root_push(mutator, pair));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  /* An old object that points to a young one, without the barrier. */
  void *number = bhc_alloc(mutator, &NUMBER);
  CHECK(number);
  bhc_words(number)[0] = NULL;
  bhc_words(((void **)*(mutator->stack_top - 1)))[1] = number;
  (void)bhc_gc_collect(mutator, BHC_COLLECTION_MINOR);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "pinned-limit") == 0) {
    pinned_limit();
  } else if (strcmp(mode, "pinned-reserve") == 0) {
    pinned_reserve();
  } else if (strcmp(mode, "pinned-untouched") == 0) {
    pinned_untouched();
  } else if (strcmp(mode, "free-twice") == 0) {
    free_twice(opaque(argc > 2 ? strtoul(argv[2], NULL, 10) : 100));
  } else if (strcmp(mode, "corrupt") == 0) {
    collect_what_is_corrupt();
  } else if (strcmp(mode, "stale") == 0) {
    read_what_has_moved();
  } else {
    threads_end_in_order();
    handles_are_checked();
    a_heap_that_collects_is_busy();
    errors_are_told_as_status_and_words();
    the_current_capability_is_the_last_one_made();
    what_cannot_be_made_is_refused();
    numbers_that_are_none_are_refused();
    sizes_and_alignments();
    arenas_that_are_full_refuse();
    arenas_have_scopes();
    reallocated_blocks_keep_their_contents();
    zeroed_blocks_are_zero();
    blocks_of_others_are_refused();
    blocks_have_a_place_and_a_size();
    the_pinned_heap_is_configured_once_and_first();
    a_shadow_stack_is_full_or_empty();
    a_shadow_stack_has_slots();
    reservations_are_kept();
    a_general_heap_that_is_full_refuses();
    descriptors_are_checked();
    a_heap_that_is_not_as_it_has_to_be_is_told();
    statistics_are_exact();
#ifdef BHC_CHECKED
    with_checks_inline_functions_refuse_too();
#endif
  }
  puts("all checks passed");
  return 0;
}

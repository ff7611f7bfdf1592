/* The General Heap as compiled code uses it, through the inline paths: binary-trees with the shadow stack, and each kind
 * of object and root.
 *
 * trees [DEPTH [hard]]: the depth of the largest tree; `hard` moves every object at every allocation, looks at the whole
 * heap each time, and makes memory inaccessible that objects were moved out of. */
#include "check.h"

static const BhcInfo NODE = BHC_INFO_FIXED("Node", 2, 0);
static const BhcInfo CONS = BHC_INFO_FIXED("Cons", 1, 1);
static const BhcInfo NOTHING = BHC_INFO_FIXED("Nothing", 0, 0);
static const BhcInfo APPLY = BHC_INFO_THUNK("Apply", 1, 1);
static const BhcInfo LARGE = BHC_INFO_FIXED("Large", 3, 3000);
static const BhcInfo POINTERS = BHC_INFO_POINTERS("Pointers");
static const BhcInfo FLOATS = BHC_INFO_DATA("Floats", 4, 6);
static const BhcInfo BYTES = BHC_INFO_DATA("Bytes", 1, 3);
static const BhcInfo PAGES = BHC_INFO_DATA("Pages", 8, 15);
/* 70 words, of which 1 and 65 are pointers. */
static const uint64_t BITS[2] = {2, 2};
static const BhcInfo MIXED = BHC_INFO_BITMAP("Mixed", 70, BITS);

static void *allocated(void *object) {
  CHECK(object);
  return object;
}

static void push(BhcMutator *mutator, void *object) { CHECK_OK(bhc_gc_root_push_inline(mutator, object)); }
static void *pop(BhcMutator *mutator) { return bhc_gc_root_pop_inline(mutator); }

/* ---- binary-trees ---- */

static void *make_tree(BhcMutator *mutator, unsigned depth) {
  push(mutator, depth ? make_tree(mutator, depth - 1) : NULL);
  push(mutator, depth ? make_tree(mutator, depth - 1) : NULL);
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &NODE)));
  words[1] = pop(mutator);
  words[0] = pop(mutator);
  return words - 1;
}

static size_t nodes_of(void *tree) {
  if (!tree) return 0;
  CHECK(*(const BhcInfo **)tree == &NODE);
  return 1 + nodes_of(bhc_words(tree)[0]) + nodes_of(bhc_words(tree)[1]);
}

static size_t nodes_at(unsigned depth) { return ((size_t)2 << depth) - 1; }

static void binary_trees(BhcMutator *mutator, unsigned deepest) {
  CHECK(nodes_of(make_tree(mutator, deepest + 1)) == nodes_at(deepest + 1));
  push(mutator, make_tree(mutator, deepest));
  for (unsigned depth = 2; depth <= deepest; depth += 2) {
    size_t count = (size_t)1 << (deepest - depth + 2), nodes = 0;
    for (size_t tree = 0; tree < count; tree++) nodes += nodes_of(make_tree(mutator, depth));
    CHECK(nodes == count * nodes_at(depth));
  }
  CHECK(nodes_of(pop(mutator)) == nodes_at(deepest));
  CHECK(bhc_gc_root_depth(mutator) == 0);
}

/* ---- Lists, by which it is seen what lives. ---- */

/* Puts a number in front of the list on top of the shadow stack. */
static void cons(BhcMutator *mutator, size_t number) {
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &CONS)));
  words[0] = pop(mutator);
  words[1] = (void *)number;
  push(mutator, words - 1);
}

/* A list of `len` numbers from `first` down, on top of the shadow stack. */
static void push_list(BhcMutator *mutator, size_t first, size_t len) {
  push(mutator, NULL);
  for (size_t number = first - len + 1; number <= first; number++) cons(mutator, number);
}

static void is_list(void *list, size_t first, size_t len) {
  for (; len > 0; len--, first--) {
    CHECK(list && *(const BhcInfo **)list == &CONS && bhc_words(list)[1] == (void *)first);
    list = bhc_words(list)[0];
  }
  CHECK(list == NULL);
}

static void *top(BhcMutator *mutator) {
  void *object = pop(mutator);
  push(mutator, object);
  return object;
}

/* ---- The write barrier. ---- */

static void old_objects_may_point_to_young_ones(BhcMutator *mutator) {
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &NODE)));
  words[0] = words[1] = NULL;
  push(mutator, words - 1);
  for (size_t round = 0; round < 20; round++) {
    CHECK_OK(bhc_gc_collect(mutator, round % 7 == 6 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
    push_list(mutator, round + 10, 5);
    void *list = pop(mutator), *node = pop(mutator);
    CHECK_OK(bhc_gc_write_inline(mutator, node, round % 2, list));
    push(mutator, node);
    push_list(mutator, round + 100, 3);
    list = pop(mutator), node = pop(mutator);
    CHECK_OK(bhc_gc_write(mutator, node, 1 - round % 2, list));
    push(mutator, node);
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    is_list(bhc_words(top(mutator))[round % 2], round + 10, 5);
    is_list(bhc_words(top(mutator))[1 - round % 2], round + 100, 3);
    CHECK_OK(bhc_gc_verify(mutator));
  }
  CHECK(pop(mutator));
}

static void arrays_of_pointers_keep_their_elements(BhcMutator *mutator, size_t len) {
  push(mutator, allocated(bhc_alloc_array(mutator, &POINTERS, len)));
  CHECK(bhc_array_len(top(mutator)) == len);
  for (size_t at = 0; at < len; at++) CHECK(((void **)bhc_array_elements(top(mutator)))[at] == NULL);
  for (size_t round = 0; round < 3; round++) {
    for (size_t at = round; at < len; at += 1 + len / 16) {
      push_list(mutator, at + round + 2, 2);
      void *list = pop(mutator), *array = pop(mutator);
      if (at % 2) {
        CHECK_OK(bhc_gc_write_element(mutator, array, at, list));
      } else {
        CHECK_OK(bhc_gc_write_element_inline(mutator, array, at, list));
      }
      push(mutator, array);
    }
    CHECK_OK(bhc_gc_collect(mutator, round == 1 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
    for (size_t at = round; at < len; at += 1 + len / 16)
      is_list(((void **)bhc_array_elements(top(mutator)))[at], at + round + 2, 2);
    CHECK_OK(bhc_gc_verify(mutator));
  }
  CHECK(bhc_array_len(pop(mutator)) == len);
}

/* An array whose last word is the first of a card, and shares a log byte with the header of the object behind it: that
 * one is remembered, and the array all the same. Where they are is up to the collector, so all distances are tried. */
static void an_array_is_remembered_beside_others(BhcMutator *mutator) {
  for (size_t words = 0; words < BHC_CARD / sizeof(void *) + 2; words++) {
    push(mutator, allocated(bhc_alloc_array(mutator, &BYTES, words * sizeof(void *))));
    push(mutator, allocated(bhc_alloc_array(mutator, &POINTERS, 3)));
    void **node = bhc_words(allocated(bhc_alloc_inline(mutator, &NODE)));
    node[0] = node[1] = NULL;
    push(mutator, node - 1);
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    push_list(mutator, 1, 1);
    CHECK_OK(bhc_gc_write_inline(mutator, *bhc_gc_root_slot_inline(mutator, 1), 0, top(mutator)));
    push_list(mutator, 2, 2);
    CHECK_OK(bhc_gc_write_element_inline(mutator, *bhc_gc_root_slot_inline(mutator, 3), 2, top(mutator)));
    CHECK(pop(mutator) && pop(mutator));
    CHECK_OK(bhc_gc_verify(mutator));
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    is_list(bhc_words(*bhc_gc_root_slot_inline(mutator, 0))[0], 1, 1);
    is_list(((void **)bhc_array_elements(*bhc_gc_root_slot_inline(mutator, 1)))[2], 2, 2);
    CHECK_OK(bhc_gc_root_truncate(mutator, bhc_gc_root_depth(mutator) - 3));
  }
}

static void arrays_of_data_are_aligned(BhcMutator *mutator) {
  static const struct {
    const BhcInfo *info;
    size_t element, align;
  } KINDS[] = {{&FLOATS, 4, 64}, {&BYTES, 1, 8}, {&PAGES, 8, 32 << 10}};
  static const size_t LENS[] = {0, 1, 7, 8, 9, 100, 5000, 40000};
  for (size_t kind = 0; kind < 3; kind++) {
    for (size_t index = 0; index < 8; index++) {
      size_t size = LENS[index] * KINDS[kind].element;
      push(mutator, allocated(bhc_alloc_data(mutator, KINDS[kind].info, LENS[index])));
      CHECK(is_aligned(bhc_array_elements(top(mutator)), KINDS[kind].align));
      memset(bhc_array_elements(top(mutator)), 1, size);
      CHECK(bhc_array_len(pop(mutator)) == LENS[index]);
      push(mutator, allocated(bhc_alloc_array(mutator, KINDS[kind].info, LENS[index])));
      unsigned char *bytes = (unsigned char *)bhc_array_elements(top(mutator));
      CHECK(is_aligned(bytes, KINDS[kind].align) && bhc_array_len(top(mutator)) == LENS[index]);
      for (size_t at = 0; at < size; at++) {
        CHECK(bytes[at] == 0);
        bytes[at] = (unsigned char)(at * 13);
      }
      for (int round = 0; round < 4; round++) {
        CHECK_OK(bhc_gc_collect(mutator, round % 2 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
        bytes = (unsigned char *)bhc_array_elements(top(mutator));
        CHECK(is_aligned(bytes, KINDS[kind].align));
        for (size_t at = 0; at < size; at++) CHECK(bytes[at] == (unsigned char)(at * 13));
      }
      CHECK(pop(mutator));
    }
  }
}

static void only_the_pointers_of_a_bitmap_are_followed(BhcMutator *mutator) {
  push_list(mutator, 7, 7);
  push_list(mutator, 9, 2);
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &MIXED)));
  /* Data that looks like pointers. */
  for (size_t at = 0; at < 70; at++) words[at] = (void *)((uintptr_t)words + 8 * at + 1);
  words[65] = pop(mutator);
  words[1] = pop(mutator);
  uintptr_t before = (uintptr_t)words;
  push(mutator, words - 1);
  CHECK_OK(bhc_gc_verify(mutator));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  words = bhc_words(pop(mutator));
  is_list(words[1], 7, 7);
  is_list(words[65], 9, 2);
  for (size_t at = 0; at < 70; at++)
    CHECK(at == 1 || at == 65 || words[at] == (void *)(before + 8 * at + 1));
}

static void objects_without_words_and_large_ones_live(BhcMutator *mutator) {
  push(mutator, allocated(bhc_alloc_inline(mutator, &NOTHING)));
  push_list(mutator, 30, 4);
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &LARGE)));
  words[2] = pop(mutator);
  words[1] = NULL;
  words[0] = pop(mutator);
  for (size_t at = 3; at < 3003; at++) words[at] = (void *)(at * 3);
  push(mutator, words - 1);
  for (int round = 0; round < 3; round++) {
    push_list(mutator, 50, 3);
    void *list = pop(mutator), *large = pop(mutator);
    CHECK_OK(bhc_gc_write_inline(mutator, large, 1, list));
    push(mutator, large);
    CHECK_OK(bhc_gc_collect(mutator, round == 2 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
    words = bhc_words(top(mutator));
    CHECK(words[0] && *(const BhcInfo **)words[0] == &NOTHING);
    is_list(words[1], 50, 3);
    is_list(words[2], 30, 4);
    for (size_t at = 3; at < 3003; at++) CHECK(words[at] == (void *)(at * 3));
  }
  CHECK(pop(mutator));
}

/* ---- Thunks, tags. ---- */

static void *tagged(void *object, uintptr_t tag) { return (char *)object + tag; }

static void tags_are_kept(BhcMutator *mutator) {
  for (uintptr_t tag = 0; tag < sizeof(void *); tag++) {
    push_list(mutator, 5, 5);
    void *list = pop(mutator);
    push(mutator, tagged(list, tag));
    void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &NODE)));
    words[0] = top(mutator);
    words[1] = NULL;
    push(mutator, words - 1);
    for (int round = 0; round < 3; round++) {
      CHECK_OK(bhc_gc_collect(mutator, round == 1 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
      void *node = pop(mutator);
      CHECK(bhc_words(node)[0] == top(mutator) && ((uintptr_t)top(mutator) & 7) == tag);
      push(mutator, node);
    }
    CHECK(pop(mutator));
    is_list((char *)pop(mutator) - tag, 5, 5);
  }
}

static void updated_thunks_lead_to_their_values(BhcMutator *mutator) {
  /* A young thunk, and one that is old when it is updated with a young value. */
  for (int old = 0; old < 2; old++) {
    void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &APPLY)));
    words[0] = NULL;
    words[1] = (void *)opaque(99);
    void *thunk = words - 1;
    push(mutator, thunk);
    CHECK(bhc_gc_follow(mutator, thunk) == thunk);
    words = bhc_words(allocated(bhc_alloc_inline(mutator, &NODE)));
    words[0] = words[1] = top(mutator);
    push(mutator, words - 1);
    if (old) CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    push_list(mutator, 11, 3);
    void *value = pop(mutator), *node = pop(mutator);
    thunk = pop(mutator);
    CHECK(bhc_words(node)[0] == thunk && bhc_words(node)[1] == thunk);
    CHECK_OK(bhc_gc_update(mutator, thunk, tagged(value, 1)));
    CHECK(bhc_gc_follow(mutator, thunk) == tagged(value, 1) && bhc_gc_follow(mutator, value) == value);
    push(mutator, node);
    CHECK_OK(bhc_gc_verify(mutator));
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
    words = bhc_words(pop(mutator));
    /* The indirection is gone. */
    CHECK(words[0] == words[1] && ((uintptr_t)words[0] & 7) == 1);
    is_list((char *)words[0] - 1, 11, 3);
  }
}

static const BhcInfo BLACK_HOLE = BHC_INFO_THUNK("BlackHole", 0, 2);

static void thunks_that_are_evaluated_let_go_of_their_variables(BhcMutator *mutator) {
  push_list(mutator, 300, 300);
  void **words = bhc_words(allocated(bhc_alloc_inline(mutator, &APPLY)));
  words[0] = pop(mutator);
  words[1] = NULL;
  push(mutator, words - 1);
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  CHECK(stats_of(bhc_capability_current()).live_after_full > 300 * 3 * sizeof(void *));
  CHECK_OK(bhc_gc_set_info(mutator, top(mutator), &BLACK_HOLE));
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  CHECK(stats_of(bhc_capability_current()).live_after_full == 3 * sizeof(void *));
  CHECK(bhc_info_of(top(mutator)) == &BLACK_HOLE);
  push_list(mutator, 4, 2);
  void *value = pop(mutator), *thunk = pop(mutator);
  CHECK_OK(bhc_gc_update(mutator, thunk, value));
  push(mutator, thunk);
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
  is_list(bhc_gc_follow(mutator, pop(mutator)), 4, 2);
}

/* ---- Ways to allocate that need no roots in between. ---- */

static void a_reservation_is_one_check_for_many(BhcMutator *mutator) {
  for (size_t round = 0; round < 50; round++) {
    CHECK_OK(bhc_gc_reserve_inline(mutator, 100 * 3));
    void *list = NULL;
    for (size_t number = 1; number <= 100; number++) {
      void *cell = number % 3 ? bhc_alloc_reserved_inline(mutator, &CONS) : bhc_alloc_reserved(mutator, &CONS);
      void **words = bhc_words(allocated(cell));
      words[0] = list;
      words[1] = (void *)number;
      list = words - 1;
    }
    is_list(list, 100, 100);
    push(mutator, list);
    CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_MINOR));
    is_list(pop(mutator), 100, 100);
  }
}

static void roots_are_pushed_only_if_it_is_slow(BhcMutator *mutator) {
  void *list = NULL;
  for (size_t number = 1; number <= 3000; number++) {
    void *cell = bhc_try_alloc_inline(mutator, &CONS);
    if (!cell) {
      push(mutator, list);
      cell = allocated(bhc_alloc(mutator, &CONS));
      list = pop(mutator);
    }
    bhc_words(cell)[0] = list;
    bhc_words(cell)[1] = (void *)number;
    list = cell;
  }
  is_list(list, 3000, 3000);
}

/* ---- Roots that are not on the shadow stack. ---- */

static void stable_pointers_stay_what_they_are(BhcMutator *mutator) {
  BhcStable *stable[300];
  for (size_t at = 0; at < 300; at++) {
    push_list(mutator, at + 2, 2);
    void *list = tagged(pop(mutator), at % 4);
    stable[at] = bhc_stable_new(mutator, list);
    CHECK(stable[at] && bhc_stable_get(stable[at]) == list);
  }
  for (size_t round = 0; round < 3; round++) {
    for (size_t at = round; at < 300; at += 3) {
      CHECK_OK(bhc_gc_collect(mutator, at % 50 ? BHC_COLLECTION_MINOR : BHC_COLLECTION_FULL));
      is_list((char *)bhc_stable_get(stable[at]) - at % 4, at + 2, 2);
      CHECK_OK(bhc_stable_free(mutator, stable[at]));
    }
  }
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  CHECK(stats_of(bhc_capability_current()).live_after_full == 0);
}

static struct {
  const BhcInfo *info;
  void *words[2];
} global = {&NODE, {NULL, NULL}};

static void fields_of_static_objects_are_roots(BhcMutator *mutator) {
  CHECK_OK(bhc_gc_register_static(mutator, &global));
  for (size_t round = 0; round < 4; round++) {
    push_list(mutator, 20 + round, 4);
    void *list = pop(mutator);
    /* No barrier is needed outside of the heap. */
    global.words[round % 2] = list;
    CHECK_OK(bhc_gc_collect(mutator, round % 2 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
    is_list(global.words[round % 2], 20 + round, 4);
    push_list(mutator, 1, 1);
    void *young = pop(mutator);
    CHECK(young && global.words[round % 2] != NULL);
    is_list(global.words[round % 2], 20 + round, 4);
  }
  global.words[0] = global.words[1] = NULL;
}

typedef struct {
  void *slots[8];
  size_t calls;
} Slots;

static void show_slots(BhcRootVisitor *visitor, void *data) {
  Slots *slots = (Slots *)data;
  slots->calls += 1;
  for (int at = 0; at < 8; at++) CHECK_OK(bhc_gc_visit_root(visitor, &slots->slots[at]));
}

static void what_the_callback_shows_is_a_root(BhcMutator *mutator) {
  Slots slots;
  memset(&slots, 0, sizeof slots);
  CHECK_OK(bhc_gc_set_root_callback(mutator, show_slots, &slots));
  for (size_t round = 0; round < 16; round++) {
    push_list(mutator, round + 3, 3);
    slots.slots[round % 8] = tagged(pop(mutator), round % 4);
    CHECK_OK(bhc_gc_collect(mutator, round % 5 == 4 ? BHC_COLLECTION_FULL : BHC_COLLECTION_MINOR));
    CHECK(slots.calls > round);
    for (size_t at = round < 8 ? 0 : round - 7; at <= round; at++)
      is_list((char *)slots.slots[at % 8] - at % 4, at + 3, 3);
  }
  CHECK_OK(bhc_gc_set_root_callback(mutator, NULL, NULL));
}

/* ---- Requests. ---- */

static void requests_are_met_at_safepoints(BhcCapability *capability, BhcMutator *mutator) {
  push_list(mutator, 9, 9);
  uint64_t minor = stats_of(capability).minor_collections;
  CHECK_OK(bhc_gc_safe_point_inline(mutator));
  CHECK(stats_of(capability).minor_collections == minor);
  CHECK_OK(bhc_gc_request(capability, BHC_COLLECTION_MINOR));
  CHECK_OK(bhc_gc_request(capability, BHC_COLLECTION_MINOR));
  CHECK(stats_of(capability).minor_collections == minor);
  CHECK_OK(bhc_gc_safe_point_inline(mutator));
  CHECK_OK(bhc_gc_safe_point_inline(mutator));
  CHECK(stats_of(capability).minor_collections == minor + 1);
  uint64_t full = stats_of(capability).full_collections;
  CHECK_OK(bhc_gc_request(capability, BHC_COLLECTION_FULL));
  CHECK(bhc_alloc_inline(mutator, &NOTHING)); /* is a safepoint too */
  CHECK(stats_of(capability).full_collections == full + 1);
  is_list(pop(mutator), 9, 9);
}

int main(int argc, char **argv) {
  unsigned depth = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 8;
  int hard = argc > 2 && strcmp(argv[2], "hard") == 0;
  BhcConfig config = small_config();
  config.nursery = 64 << 10;
  if (hard) {
    config.stress = 1;
    config.verify = true;
    config.quarantine = 4;
  }
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  binary_trees(mutator, depth);
  BhcStats stats = stats_of(capability);
  CHECK(stats.bytes_allocated >= 3 * sizeof(void *) * nodes_at(depth + 1));
  CHECK(!hard || stats.minor_collections + stats.full_collections >= nodes_at(depth + 1));
  old_objects_may_point_to_young_ones(mutator);
  CHECK(hard || stats_of(capability).remembered == 20);
  static const size_t LENS[] = {1, 10, 500, 3000};
  for (int index = 0; index < 4; index++) arrays_of_pointers_keep_their_elements(mutator, LENS[index]);
  an_array_is_remembered_beside_others(mutator);
  arrays_of_data_are_aligned(mutator);
  only_the_pointers_of_a_bitmap_are_followed(mutator);
  objects_without_words_and_large_ones_live(mutator);
  tags_are_kept(mutator);
  updated_thunks_lead_to_their_values(mutator);
  thunks_that_are_evaluated_let_go_of_their_variables(mutator);
  a_reservation_is_one_check_for_many(mutator);
  roots_are_pushed_only_if_it_is_slow(mutator);
  stable_pointers_stay_what_they_are(mutator);
  fields_of_static_objects_are_roots(mutator);
  what_the_callback_shows_is_a_root(mutator);
  if (!hard) requests_are_met_at_safepoints(capability, mutator);
  CHECK(bhc_gc_root_depth(mutator) == 0);
  CHECK_OK(bhc_gc_collect(mutator, BHC_COLLECTION_FULL));
  CHECK(stats_of(capability).live_after_full == 0);
  CHECK_OK(bhc_capability_destroy(capability));
  puts("all checks passed");
  return 0;
}

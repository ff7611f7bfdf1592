
/* ---- The fast paths, and what else a compiler can do better than a call. ----
 *
 * Nothing here checks what it is given: handles are the calling thread's, objects are objects, and no root callback is
 * running. Where the fast path ends the function of the same name without `_inline` goes on. Define BHC_CHECKED to have
 * only those called.
 */

#ifdef __cplusplus
#define BHC_STATIC_ASSERT static_assert
extern "C" {
#else
#define BHC_STATIC_ASSERT _Static_assert
#endif

/* What src/capi/layout.rs asserts of the real types. */
BHC_STATIC_ASSERT(offsetof(BhcArena, cursor) == 0, "BhcArena.cursor");
BHC_STATIC_ASSERT(offsetof(BhcArena, limit) == sizeof(void *), "BhcArena.limit");
BHC_STATIC_ASSERT(offsetof(BhcArena, count) == 2 * sizeof(void *), "BhcArena.count");
BHC_STATIC_ASSERT(offsetof(BhcArena, balance) == 4 * sizeof(void *), "BhcArena.balance");
BHC_STATIC_ASSERT(offsetof(BhcMutator, hp) == 0, "BhcMutator.hp");
BHC_STATIC_ASSERT(offsetof(BhcMutator, hp_lim) == sizeof(void *), "BhcMutator.hp_lim");
BHC_STATIC_ASSERT(offsetof(BhcMutator, stack_top) == 2 * sizeof(void *), "BhcMutator.stack_top");
BHC_STATIC_ASSERT(offsetof(BhcMutator, stack_lim) == 3 * sizeof(void *), "BhcMutator.stack_lim");
BHC_STATIC_ASSERT(offsetof(BhcMutator, log_bias) == 4 * sizeof(void *), "BhcMutator.log_bias");
BHC_STATIC_ASSERT(offsetof(BhcMutator, limit) == 5 * sizeof(void *), "BhcMutator.limit");
BHC_STATIC_ASSERT(sizeof(BhcInfo) % 16 == 0 && sizeof(size_t) == sizeof(void *), "BhcInfo");
BHC_STATIC_ASSERT(offsetof(BhcInfo, element) == 12 && offsetof(BhcInfo, bitmap) == 16, "BhcInfo.bitmap");
BHC_STATIC_ASSERT(sizeof(BhcArenaMark) == 9 * sizeof(void *), "BhcArenaMark");

/* Memory that the library has told AddressSanitizer nobody has is somebody's from here on. */
#if defined(__SANITIZE_ADDRESS__)
#define BHC_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BHC_ASAN 1
#endif
#endif
#ifdef BHC_ASAN
void __asan_unpoison_memory_region(void const volatile *start, size_t size);
#define BHC_IN_USE(start, size) __asan_unpoison_memory_region((start), (size))
#else
#define BHC_IN_USE(start, size) ((void)(start))
#endif

/* Descriptors of objects: `static const BhcInfo CONS = BHC_INFO_FIXED("Cons", 1, 1);` has one pointer, then one word of
 * plain data. Numbers are of words, and of 32 bits together with the header. */
#define BHC_INFO_WORDS(words) ((uint32_t)((words) == 0 ? 2 : (words) + 1))
#define BHC_INFO_WORD_LOG2 (sizeof(void *) == 8 ? 3 : 2)
#define BHC_INFO_NAME(name) ("" name), sizeof("" name) - 1
#define BHC_INFO_FIXED(name, pointers, data) \
  { BHC_INFO_WORDS((pointers) + (data)), (pointers), BHC_KIND_FIXED, BHC_INFO_WORD_LOG2, BHC_INFO_MAGIC, 0, 0, \
    BHC_INFO_NAME(name) }
/* A suspended computation with so many free variables. */
#define BHC_INFO_THUNK(name, pointers, data) \
  { BHC_INFO_WORDS((pointers) + (data)), (pointers), BHC_KIND_THUNK, BHC_INFO_WORD_LOG2, BHC_INFO_MAGIC, 0, 0, \
    BHC_INFO_NAME(name) }
/* `bits` is an array of uint64_t with a bit for each of `words` words, from the lowest: whether it is a pointer. */
#define BHC_INFO_BITMAP(name, words, bits) \
  { BHC_INFO_WORDS(words), (words) == 0 ? 0 : BHC_INFO_ELSEWHERE, BHC_KIND_BITMAP, BHC_INFO_WORD_LOG2, BHC_INFO_MAGIC, 0, (bits), \
    BHC_INFO_NAME(name) }
/* Arrays of pointers. */
#define BHC_INFO_POINTERS(name) \
  { 0, BHC_INFO_ELSEWHERE, BHC_KIND_POINTERS, BHC_INFO_WORD_LOG2, BHC_INFO_MAGIC, 0, 0, BHC_INFO_NAME(name) }
/* Arrays of plain data: the bytes of an element, and the alignment of the first one as a power of two, from 3 (2 where
 * pointers have 4 bytes) to 15. */
#define BHC_INFO_DATA(name, element, align_log2) \
  { 0, 0, BHC_KIND_DATA, (align_log2), BHC_INFO_MAGIC, (element), 0, BHC_INFO_NAME(name) }

/* The words after the header of an object; of an array, the first of them is its length. */
static inline void **bhc_words(void *object) { return (void **)object + 1; }

/* The descriptor of an object that is no thunk, or was not updated. */
static inline const BhcInfo *bhc_info_of(const void *object) { return *(const BhcInfo *const *)object; }

/* Where the object of a stable pointer is now. */
static inline void *bhc_stable_get(const BhcStable *stable) { return *(void *const *)stable; }

/* The length of an array. */
static inline size_t bhc_array_len(const void *array) { return ((const size_t *)array)[1]; }

/* The elements of an array. */
static inline void *bhc_array_elements(void *array) { return (void **)array + 2; }

/* Says to the compiler that an address is a multiple of `align`, which is a constant. */
#if defined(__GNUC__)
#define BHC_ASSUME_ALIGNED(address, align) __builtin_assume_aligned((address), (align))
#define BHC_LIKELY(condition) __builtin_expect(!!(condition), 1)
#else
#define BHC_ASSUME_ALIGNED(address, align) (address)
#define BHC_LIKELY(condition) (condition)
#endif

/* The fast paths want the loads and stores of GNU C that are atomic without an order. */
#if defined(BHC_CHECKED) || !defined(__GNUC__)

#define bhc_arena_alloc_inline bhc_arena_alloc
#define bhc_alloc_inline bhc_alloc
#define bhc_try_alloc_inline(mutator, info) ((void)(mutator), (void)(info), (void *)0)
#define bhc_gc_reserve_inline bhc_gc_reserve
#define bhc_alloc_reserved_inline bhc_alloc_reserved
#define bhc_gc_safe_point_inline bhc_gc_safe_point
#define bhc_gc_root_push_inline bhc_gc_root_push
#define bhc_gc_root_pop_inline bhc_gc_root_pop
#define bhc_gc_root_slot_inline bhc_gc_root_slot
#define bhc_gc_write_inline bhc_gc_write
#define bhc_gc_write_element_inline bhc_gc_write_element

#else

/* As bhc_arena_alloc: an addition or two, a comparison and two or three stores. */
BHC_ALLOCATES(2, 3)
static inline void *bhc_arena_alloc_inline(BhcArena *arena, size_t size, size_t align) {
  uint8_t *cursor = arena->cursor;
  uintptr_t at = (uintptr_t)cursor;
  /* The rest, bad alignments and sizes that could overflow among it, is not for here. */
  if (BHC_LIKELY(size - 1 < ((size_t)1 << 30) && align - 1 < 4096 && (align & (align - 1)) == 0)) {
    /* The cursor is a multiple of the unit, which a compiler that knows the alignment is told in this way. */
    uintptr_t rounded = (at + (align - 1)) & ~(uintptr_t)(align - 1);
    uintptr_t start = __builtin_constant_p(align) && align <= BHC_ARENA_UNIT ? at : rounded;
    uintptr_t end = start + ((size + (BHC_ARENA_UNIT - 1)) & ~(uintptr_t)(BHC_ARENA_UNIT - 1));
#if !(defined(__x86_64__) && defined(__LP64__))
    if (BHC_LIKELY(end > at)) /* Chunks may be at the end of the address space. */
#endif
      if (BHC_LIKELY(end <= arena->limit)) {
        uint8_t *block = cursor + (start - at);
        arena->cursor = cursor + (end - at);
        arena->count += 1;
        arena->balance += (end - at) - size;
        BHC_IN_USE(block, size);
#if defined(__clang__)
        __builtin_assume(((uintptr_t)block & (align - 1)) == 0);
#else
        if (__builtin_constant_p(align)) block = (uint8_t *)__builtin_assume_aligned(block, align);
#endif
        if (!block) __builtin_unreachable(); /* Whoever asks need not look. */
        return block;
      }
  }
  return bhc_arena_alloc(arena, size, align);
}

/* An object that fits before `end`; null, and nothing is changed, if it does not. Arrays, which have no size here, and
 * large objects are not for here. */
static inline void *bhc_bump(BhcMutator *mutator, const BhcInfo *info, void **end) {
  size_t words = info->size;
  void **object = mutator->hp;
  void **next = (void **)((uintptr_t)object + words * sizeof(void *));
  if (!BHC_LIKELY(words - 1 < BHC_LARGE_WORDS - 1 && (uintptr_t)next <= (uintptr_t)end)) return 0;
  mutator->hp = next;
  BHC_IN_USE(object, words * sizeof(void *));
  *(const BhcInfo **)object = info;
  return object;
}

/* An object, if that takes no call: so roots need be pushed only if the answer is null, before bhc_alloc. */
BHC_MAKES_OBJECT
static inline void *bhc_try_alloc_inline(BhcMutator *mutator, const BhcInfo *info) {
  return bhc_bump(mutator, info, __atomic_load_n(&mutator->hp_lim, __ATOMIC_RELAXED));
}

/* As bhc_alloc: with a constant descriptor, an addition, a comparison and two stores. */
BHC_MAKES_OBJECT
static inline void *bhc_alloc_inline(BhcMutator *mutator, const BhcInfo *info) {
  void *object = bhc_try_alloc_inline(mutator, info);
  return BHC_LIKELY(object != 0) ? object : bhc_alloc(mutator, info);
}

/* As bhc_gc_reserve: an addition and a comparison. */
static inline BhcStatus bhc_gc_reserve_inline(BhcMutator *mutator, size_t words) {
  uintptr_t at = (uintptr_t)mutator->hp, end = (uintptr_t)__atomic_load_n(&mutator->hp_lim, __ATOMIC_RELAXED);
  if (BHC_LIKELY(end > at && words <= (end - at) / sizeof(void *))) return BHC_STATUS_OK;
  return bhc_gc_reserve(mutator, words);
}

/* As bhc_alloc_reserved. */
BHC_MAKES_OBJECT
static inline void *bhc_alloc_reserved_inline(BhcMutator *mutator, const BhcInfo *info) {
  void *object = bhc_bump(mutator, info, mutator->limit);
  return BHC_LIKELY(object != 0) ? object : bhc_alloc_reserved(mutator, info);
}

/* As bhc_gc_safe_point: a load and a test. */
static inline BhcStatus bhc_gc_safe_point_inline(BhcMutator *mutator) {
  if (BHC_LIKELY(__atomic_load_n(&mutator->hp_lim, __ATOMIC_RELAXED) != 0)) return BHC_STATUS_OK;
  return bhc_gc_safe_point(mutator);
}

/* As bhc_gc_root_push. */
static inline BhcStatus bhc_gc_root_push_inline(BhcMutator *mutator, void *object) {
  void **top = mutator->stack_top;
  if (BHC_LIKELY(top != mutator->stack_lim)) {
    *top = object;
    mutator->stack_top = top + 1;
    return BHC_STATUS_OK;
  }
  return bhc_gc_root_push(mutator, object);
}

/* As bhc_gc_root_pop; there is something to pop. */
static inline void *bhc_gc_root_pop_inline(BhcMutator *mutator) { return *--mutator->stack_top; }

/* As bhc_gc_root_slot; there are so many. */
static inline void **bhc_gc_root_slot_inline(BhcMutator *mutator, size_t index) {
  return mutator->stack_top - 1 - index;
}

/* Whether what is at an address of the heap is young, or remembered. */
static inline bool bhc_is_logged(const BhcMutator *mutator, uintptr_t address) {
  return *(const uint8_t *)((uintptr_t)mutator->log_bias + address / (2 * sizeof(void *))) != 0;
}

/* As bhc_gc_write: the write barrier is a load and a test, but for the first store into an old object after a
 * collection. */
static inline BhcStatus bhc_gc_write_inline(BhcMutator *mutator, void *object, size_t index, void *value) {
  BhcStatus status = BHC_STATUS_OK;
  if (!BHC_LIKELY(bhc_is_logged(mutator, (uintptr_t)object))) status = bhc_gc_remember(mutator, object);
  bhc_words(object)[index] = value;
  return status;
}

/* As bhc_gc_write_element; there is such an element. What is logged is the first address of the array in the element's
 * card, and never its last word, which may share its log byte with the next object. */
static inline BhcStatus bhc_gc_write_element_inline(BhcMutator *mutator, void *array, size_t index, void *value) {
  uintptr_t start = (uintptr_t)array;
  uintptr_t card = (start + (2 + index) * sizeof(void *)) & ~(uintptr_t)(BHC_CARD - 1);
  uintptr_t last = start + bhc_array_len(array) * sizeof(void *);
  uintptr_t logged = card < last ? card : last;
  if (!BHC_LIKELY(bhc_is_logged(mutator, logged > start ? logged : start)))
    return bhc_gc_write_element(mutator, array, index, value);
  ((void **)bhc_array_elements(array))[index] = value;
  return BHC_STATUS_OK;
}

#endif

#ifdef __cplusplus
}
#endif

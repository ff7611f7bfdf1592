
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
#define BHC_INFO_NAME(name) (name), sizeof(name) - 1
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
#define bhc_gc_safe_point_inline bhc_gc_safe_point
#define bhc_gc_root_push_inline bhc_gc_root_push
#define bhc_gc_root_pop_inline bhc_gc_root_pop
#define bhc_gc_write_inline bhc_gc_write

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
        if (!block) __builtin_unreachable(); /* Whoever asks need not look. */
#if defined(__clang__)
        __builtin_assume(((uintptr_t)block & (align - 1)) == 0);
#else
        if (__builtin_constant_p(align)) return __builtin_assume_aligned(block, align);
#endif
        return block;
      }
  }
  return bhc_arena_alloc(arena, size, align);
}

/* As bhc_alloc: with a constant descriptor, an addition, a comparison and two stores. */
BHC_MAKES_OBJECT
static inline void *bhc_alloc_inline(BhcMutator *mutator, const BhcInfo *info) {
  size_t words = info->size;
  void **object = mutator->hp;
  void **next = (void **)((uintptr_t)object + words * sizeof(void *));
  void **end = __atomic_load_n(&mutator->hp_lim, __ATOMIC_RELAXED);
  /* Arrays, which have no size here, and large objects are not for here. */
  if (BHC_LIKELY(words - 1 < BHC_LARGE_WORDS - 1 && (uintptr_t)next <= (uintptr_t)end)) {
    mutator->hp = next;
    BHC_IN_USE(object, words * sizeof(void *));
    *(const BhcInfo **)object = info;
    return object;
  }
  return bhc_alloc(mutator, info);
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

/* As bhc_gc_write: the write barrier is a load and a test, but for the first store into an old object after a
 * collection. */
static inline BhcStatus bhc_gc_write_inline(BhcMutator *mutator, void *object, size_t index, void *value) {
  const uint8_t *log = (const uint8_t *)((uintptr_t)mutator->log_bias + (uintptr_t)object / (2 * sizeof(void *)));
  BhcStatus status = BHC_STATUS_OK;
  if (!BHC_LIKELY(*log != 0)) status = bhc_gc_remember(mutator, object);
  bhc_words(object)[index] = value;
  return status;
}

#endif

#ifdef __cplusplus
}
#endif

// The C ABI: what compiled programs link against. `include/bhc_rts_alloc.h` declares it, with inline fast paths.
//
// `cargo rustc --release --features capi --crate-type staticlib` (or `cdylib`) builds the library. For what the
// functions do, see the types that they stand for; here is what holds for all of them.
//
// ---- Conventions
// * A function that gives memory answers null if it fails, one that does something a `BhcStatus`. Why it failed is
//   told by `bhc_last_error`, as a status, and by `bhc_last_error_message`, in words, until the calling thread's
//   next failure. Success does not clear them.
// * **Zero size**: an address that is aligned and not null, and no block; to free it does nothing.
// * **Null** for a handle, a descriptor or a result's place: `BHC_STATUS_NULL_POINTER`. To free null does nothing.
// * **Alignment** that is no power of two: `BHC_STATUS_UNSUPPORTED_ALIGNMENT`, as for one that the region cannot give.
// * **Overflow**, a size that with its alignment does not fit the address space: `BHC_STATUS_OVERFLOW`.
// * **Exhaustion**: `BHC_STATUS_OUT_OF_MEMORY`, or `BHC_STATUS_REGION_EXHAUSTED` where the region gives nothing at all.
//   The region and all blocks are as before.
// * **Wrong thread**: capabilities, with their arenas and mutators, belong to the thread that made them. Functions know
//   the calling thread's by their addresses, and look at no other: another thread's, or any other pointer, is
//   `BHC_STATUS_WRONG_THREAD`; so is one that was destroyed, until its address is that of a new one. The Pinned Heap is
//   every thread's.
// * **Nothing unwinds**, and nothing ends the program but the proof that memory is corrupt: a block of the Pinned Heap
//   that was freed twice, or is none; a General Heap that is not as it has to be, as its collector finds it. Any other
//   panic, which would be a mistake in this crate, is caught and answered as `BHC_STATUS_INTERNAL`.
// * What the header has inline checks nothing that it is given, and calls these functions where the fast path ends. With
//   `BHC_CHECKED` defined it only calls them.
//
// * **fork**: the child may use what only its thread has used, which are its capabilities and arenas; the Pinned Heap
//   only if no other thread was using it then. Nothing is for signal handlers.
//
// ---- Objects and roots
// An object is a header word, which points to its descriptor, and its words. A pointer to one may have a tag in its low
// three bits (two where pointers have four bytes), which collections keep. Pointers to what is not in the heap are left
// alone.
//
// Whatever may collect (`bhc_alloc`, `bhc_alloc_array`, `bhc_alloc_data`, `bhc_gc_reserve`,
// `bhc_gc_safe_point`, `bhc_gc_collect`) moves objects, and updates the shadow stack, what the root callback shows,
// stable pointers, and the words of static objects that are registered. A pointer anywhere else is stale then, and so is
// one into the middle of an object.
//
// Made by cbindgen of src/capi; not to be changed by hand.

#ifndef BHC_RTS_ALLOC_H
#define BHC_RTS_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the compiler may rely on: memory that nobody else has, of the size and the alignment that the arguments with
 * these numbers say. Objects are not such memory: the collector reads them, even if nothing points to them. */
#if defined(__GNUC__)
#define BHC_ALIGNED(n) __attribute__((aligned(n)))
#define BHC_ALLOCATES(size, align) \
  __attribute__((malloc, alloc_size(size), alloc_align(align), warn_unused_result))
#define BHC_REALLOCATES(size, align) __attribute__((alloc_size(size), alloc_align(align), warn_unused_result))
#define BHC_MAKES_OBJECT __attribute__((assume_aligned(sizeof(void *)), warn_unused_result))
#else
#if defined(_MSC_VER)
#define BHC_ALIGNED(n) __declspec(align(n))
#else
#error "bhc_rts_alloc.h wants a compiler that aligns structs: one of GNU C, or Microsoft's"
#endif
#define BHC_ALLOCATES(size, align)
#define BHC_REALLOCATES(size, align)
#define BHC_MAKES_OBJECT
#endif

// The version of this ABI: `BHC_ABI_VERSION` of the header that a program was compiled with is to be the same as that of
// the library, `bhc_abi_version`.
#define BHC_ABI_VERSION 1

// The bytes that every block of an arena starts and ends at a multiple of.
#define BHC_ARENA_UNIT 8

// Objects of so many words, header included, are large: no fast path makes them.
#define BHC_LARGE_WORDS 1024

// Arrays of pointers have a log byte for each part of so many bytes of addresses, a card.
#define BHC_CARD 512

// In every descriptor of objects, so that one is known from something else.
#define BHC_INFO_MAGIC 46273

// For `BhcInfo::pointers`: the pointers are not simply the first words.
#define BHC_INFO_ELSEWHERE UINT32_MAX

// How a call ended. 0 is success.
enum BhcStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // All went well.
  BHC_STATUS_OK = 0,
  // The memory is not there.
  BHC_STATUS_OUT_OF_MEMORY = 1,
  // The region gives nothing now, whatever the size.
  BHC_STATUS_REGION_EXHAUSTED = 2,
  // The region cannot give that alignment, or it is no power of two.
  BHC_STATUS_UNSUPPORTED_ALIGNMENT = 3,
  // The size does not fit the address space.
  BHC_STATUS_OVERFLOW = 4,
  // A pointer that must not be null is.
  BHC_STATUS_NULL_POINTER = 5,
  // An argument is not what it has to be.
  BHC_STATUS_INVALID_ARGUMENT = 6,
  // The calling thread has no such capability, arena or mutator.
  BHC_STATUS_WRONG_THREAD = 7,
  // A root callback used the heap that it shows roots of.
  BHC_STATUS_BUSY = 8,
  // The shadow stack has no room.
  BHC_STATUS_STACK_FULL = 9,
  // The shadow stack has nothing to pop.
  BHC_STATUS_STACK_EMPTY = 10,
  // The Pinned Heap is in use, and can be configured no more.
  BHC_STATUS_ALREADY_IN_USE = 11,
  // The General Heap is not as it has to be: generated code, or the collector, has an error.
  BHC_STATUS_CORRUPT = 12,
  // The library has an error: it panicked.
  BHC_STATUS_INTERNAL = 13,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum BhcStatus BhcStatus;
#else
typedef int32_t BhcStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What the objects of a descriptor look like after the header word.
enum BhcKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint8_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Pointers first, then plain data.
  BHC_KIND_FIXED = 0,
  // A bit for each word says whether it is a pointer.
  BHC_KIND_BITMAP = 1,
  // A length word, and so many pointers.
  BHC_KIND_POINTERS = 2,
  // A length word, and so many elements of plain data.
  BHC_KIND_DATA = 3,
  // As `Fixed`: a suspended computation.
  BHC_KIND_THUNK = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum BhcKind BhcKind;
#else
typedef uint8_t BhcKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which region serves a request.
enum BhcRegion
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // The process allocator.
  BHC_REGION_SYSTEM = 0,
  // The capability's Hot Arena.
  BHC_REGION_HOT_ARENA = 1,
  // The Pinned Heap.
  BHC_REGION_PINNED = 2,
  // Raw bytes of the capability's General Heap.
  BHC_REGION_GENERAL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum BhcRegion BhcRegion;
#else
typedef int32_t BhcRegion;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Which collection.
enum BhcCollection
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Of the nursery.
  BHC_COLLECTION_MINOR = 0,
  // Of all.
  BHC_COLLECTION_FULL = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum BhcCollection BhcCollection;
#else
typedef int32_t BhcCollection;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// One mutator's regions, as C has them: see `Capability`.
typedef struct BhcCapability BhcCapability;

// What a root callback shows its slots to.
typedef struct BhcRootVisitor BhcRootVisitor;

// A pointer to an object that stays what it is while the object moves, and keeps it alive: for code that has pointers of
// its own, as GHC's stable pointers are.
//
// What it points to is the object, which `bhc_stable_get` of the header reads.
typedef struct BhcStable BhcStable;

// How a capability is to be. Sizes are in bytes. 0 is what is usual, everywhere: all zeros, as `bhc_config_default`
// gives them, have no limits and no checks.
typedef struct {
  // Room for so many bytes in the Hot Arena at once.
  size_t arena_capacity;
  // The most that the Hot Arena takes from the process allocator.
  size_t arena_limit;
  // The nursery of the General Heap.
  size_t nursery;
  // The most memory that the General Heap takes.
  size_t general_limit;
  // The addresses that the General Heap reserves.
  size_t general_reserve;
  // What the shadow stack holds.
  size_t shadow_stack;
  // For tests of generated code: a collection at every n-th allocation, a full one every other time.
  uint32_t stress;
  // For tests of generated code: memory that objects were moved out of is made inaccessible, and used again after so
  // many other pieces of it.
  uint32_t quarantine;
  // For tests of generated code: looks at the whole heap after every collection, and ends the program if it is not as
  // it has to be.
  bool verify;
} BhcConfig;

// A Hot Arena: the part of it that the inline fast path works on. Where it is and what is behind it is the library's.
typedef struct {
  // The next free byte, a multiple of `BHC_ARENA_UNIT`.
  uint8_t *cursor;
  // The address up to which there is room.
  size_t limit;
  // Live blocks.
  size_t count;
  void *chunk;
  // The cursor's address, less the sizes of all live blocks.
  size_t balance;
} BhcArena;

// What compiled code and the collector share: the part of it that the inline fast paths work on.
typedef struct {
  // The next word of the nursery.
  void **hp;
  // Its end; null if whoever allocates is to come by. Other threads may write it: it is loaded as an atomic.
  void **hp_lim;
  // The next slot of the shadow stack.
  void **stack_top;
  // Its end.
  void **stack_lim;
  // What is to be added to an object's address, divided by the bytes of two words, for its log byte.
  uint8_t *log_bias;
  // The end of the nursery, even if `hp_lim` is null.
  void **limit;
} BhcMutator;

// Where an arena stood: what `bhc_arena_mark` fills in. It may be copied and forgotten.
typedef struct {
  BhcArena *arena;
  void *frame[8];
} BhcArenaMark;

// A segment of the Pinned Heap's memory.
typedef struct {
  // Its number.
  size_t index;
  // Where it starts, a multiple of its size.
  void *start;
  // Its size, in bytes.
  size_t size;
} BhcSegment;

// What a region has given and taken back, in requested bytes: as `AllocStats`.
typedef struct {
  // Bytes allocated over the lifetime.
  size_t total_allocated;
  // Bytes deallocated over the lifetime.
  size_t total_deallocated;
  // Bytes allocated and not yet deallocated.
  size_t current_live;
  // Number of allocations.
  size_t allocation_count;
  // Number of deallocations.
  size_t deallocation_count;
  // The most that `current_live` has been.
  size_t peak_usage;
  // Number of requests that ended in an error.
  size_t failed_allocations;
} BhcRegionStats;

// The descriptor of objects: what the collector knows of them. Constant data, made by one of the macros `BHC_INFO_*`,
// that is there as long as any heap.
typedef struct BHC_ALIGNED(16) {
  // The words of an object, its header included; 0 for arrays.
  uint32_t size;
  // The pointers, which are the first words after the header; or `BHC_INFO_ELSEWHERE`.
  uint32_t pointers;
  // A `BhcKind`.
  uint8_t kind;
  // Of arrays of data: the alignment of the first element, as a power of two.
  uint8_t align_log2;
  // `BHC_INFO_MAGIC`.
  uint16_t magic;
  // Of arrays of data: the bytes of an element.
  uint32_t element;
  // Of the kind `Bitmap`: a bit for each word after the header, from the lowest.
  const uint64_t *bitmap;
  // What they are called in reports; without a zero at its end.
  const char *name;
  // The bytes of the name.
  size_t name_len;
} BhcInfo;

// The statistics of a capability: as `CapabilityStats`.
typedef struct {
  // Blocks of the Hot Arena.
  BhcRegionStats hot_arena;
  // Blocks of the Pinned Heap, which all capabilities share.
  BhcRegionStats pinned;
  // Raw bytes of the General Heap.
  BhcRegionStats general_bytes;
  // The process allocator, as Rust uses it.
  BhcRegionStats system;
  // What the chunks of the Hot Arena have room for, in bytes.
  size_t hot_arena_capacity;
  // Memory of the Pinned Heap, in bytes.
  size_t pinned_committed;
  // Memory of the General Heap in use, in bytes.
  size_t general_in_use;
  // Bytes of objects that were allocated.
  uint64_t bytes_allocated;
  // Bytes that minor collections moved to the old generation.
  uint64_t bytes_promoted;
  // Bytes that full collections copied.
  uint64_t bytes_copied;
  // The bytes of objects that were live after the last full collection.
  size_t live_after_full;
  // Minor collections.
  uint64_t minor_collections;
  // Full collections.
  uint64_t full_collections;
  // Objects, and cards of arrays, that the write barrier remembered.
  uint64_t remembered;
  // Allocations of objects that were refused.
  uint64_t failed_objects;
  // How long all minor collections took together, in nanoseconds.
  uint64_t minor_pauses;
  // The longest of them.
  uint64_t longest_minor_pause;
  // How long all full collections took together, in nanoseconds.
  uint64_t full_pauses;
  // The longest of them.
  uint64_t longest_full_pause;
} BhcStats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the ABI of the library that was linked.
uint32_t bhc_abi_version(void);

// The alignment that this machine's widest vectors want, in bytes.
size_t bhc_simd_alignment(void);

// The name of a status (a `BhcStatus`), as in this header, for logs; of another number, "?".
const char *bhc_status_name(int32_t status);

// The status of the calling thread's last call that failed; `BHC_STATUS_OK` if none has.
BhcStatus bhc_last_error(void);

// Why the calling thread's last call that failed did, in words, as `snprintf` writes: at most `size` bytes into
// `buffer`, with a zero at the end. Answers how long the text is, without the zero; so a `size` of 0 asks for that, and
// `buffer` may be null then. Of a thread without failures the text is empty.
//
// Safety:
// There is room for `size` bytes at `buffer`, or `size` is 0.
size_t bhc_last_error_message(char *buffer, size_t size);

// What is usual: no limits, no checks.
BhcConfig bhc_config_default(void);

// Makes a capability, which belongs to the calling thread and is its current one. With
// `config` null it is as usual. Null if there is no address space, or memory, for it.
//
// It is to be destroyed by the thread that made it. If that ends first, the memory stays taken.
//
// Safety:
// `config` is null or points to one.
BhcCapability *bhc_capability_create(const BhcConfig *config);

// The capability that the calling thread made last, of those that it has not destroyed; null if it has none, which is
// no failure.
BhcCapability *bhc_capability_current(void);

// Ends a capability: its arena, its objects and raw bytes with it. Blocks of the Pinned Heap stay. To destroy null does
// nothing.
BhcStatus bhc_capability_destroy(BhcCapability *capability);

// The Hot Arena of a capability; the same for its life.
BhcArena *bhc_capability_arena(BhcCapability *capability);

// The mutator of a capability, by which its General Heap is used; the same for its life.
BhcMutator *bhc_capability_mutator(BhcCapability *capability);

// Asks for a collection at the next safepoint of the capability's thread: an allocation, or
// `bhc_gc_safe_point`. The one function that may be called by any thread with another's
// capability.
//
// Safety:
// The capability is not destroyed before this returns.
BhcStatus bhc_gc_request(const BhcCapability *capability, int32_t collection);

// Allocates `size` bytes, aligned to `align`, from the region (a `BhcRegion`) of the capability.
void *bhc_region_alloc(BhcCapability *capability, int32_t region, size_t size, size_t align) BHC_ALLOCATES(3, 4);

// Gives a block back to the region (a `BhcRegion`) of the capability. To free null does nothing.
//
// Safety:
// A live block that `bhc_region_alloc` gave for this capability, region, size and alignment, which is not used
// afterwards.
BhcStatus bhc_region_free(BhcCapability *capability, int32_t region, void *block, size_t size, size_t align);

// An arena of the calling thread, which is there without a capability; the same for the thread's life. Whoever uses it
// marks it first and releases it last, so any number of callers can use it inside of each other. Null when the thread
// is at its end; nothing can be allocated then any more, and what was is gone.
BhcArena *bhc_thread_arena(void);

// Opens a scope: what is allocated from now on is freed when `mark`, which this fills in, is
// released.
//
// Safety:
// `mark` is null or points to memory for one.
BhcStatus bhc_arena_mark(BhcArena *arena, BhcArenaMark *mark);

// Frees everything that was allocated since `mark` was made, also by marks after it that were not released.
//
// A mark of another arena is refused: `BHC_STATUS_INVALID_ARGUMENT`.
//
// Safety:
// `mark` is null, or `bhc_arena_mark` filled it in, and neither it nor one made before it was released already, nor
// was the arena destroyed since. What was allocated since then is not used any more.
BhcStatus bhc_arena_release(BhcArena *arena, const BhcArenaMark *mark);

// Allocates `size` bytes, aligned to `align`, until the scope ends. `bhc_arena_alloc_inline` is faster.
void *bhc_arena_alloc(BhcArena *arena, size_t size, size_t align) BHC_ALLOCATES(2, 3);

// How many bytes of the arena are in use, alignment included; 0 if that fails.
size_t bhc_arena_used(const BhcArena *arena);

// What the Pinned Heap is to be, before it is first used: the most memory that its blocks may take, in bytes, and the
// addresses that it reserves. 0: as usual. Later, or a second time: `BHC_STATUS_ALREADY_IN_USE`.
BhcStatus bhc_pinned_configure(size_t limit, size_t reserve);

// Allocates `size` bytes, aligned to `align`, that never move. Any thread may free them.
void *bhc_pinned_alloc(size_t size, size_t align) BHC_ALLOCATES(1, 2);

// As `bhc_pinned_alloc`, and every byte is zero. Large blocks are not written for that.
void *bhc_pinned_alloc_zeroed(size_t size, size_t align) BHC_ALLOCATES(1, 2);

// Changes the size of a block, in place or by moving it; the alignment stays. The first `min(old_size, new_size)` bytes
// are kept. Null: it failed, and the block is as before. From null, or from size 0, it is an allocation; to size 0 a
// deallocation, which answers an aligned address.
//
// Safety:
// A live block that this heap gave with `old_size` and `align`; unless the answer is null it is not used afterwards.
void *bhc_pinned_realloc(void *block, size_t old_size, size_t align, size_t new_size) BHC_REALLOCATES(4, 3);

// Gives a block back, with the size and the alignment that it was allocated with. To free null, or what came of size 0,
// does nothing. What is not this heap's memory is refused: `BHC_STATUS_INVALID_ARGUMENT`.
//
// What is its memory and no live block of that layout is found when it goes back to its span, and ends the program.
//
// Safety:
// A live block that this heap gave with `size` and `align`, which is not used afterwards.
BhcStatus bhc_pinned_free(void *block, size_t size, size_t align);

// How many bytes a block of that size and alignment takes, for whoever has a use for all of them: they are to be asked for,
// as `bhc_pinned_alloc` tells the compiler what was, and it costs nothing. 0 for what is no layout, or has no size.
size_t bhc_pinned_usable_size(size_t size,
                              size_t align);

// In which segment an address is, and how far into it, in bytes: for devices that know memory by segments. Either of
// `segment` and `offset` may be null. What is not memory of the heap is `BHC_STATUS_INVALID_ARGUMENT`.
//
// Safety:
// `segment` and `offset` are null or point to memory for one.
BhcStatus bhc_pinned_locate(const void *address, BhcSegment *segment, size_t *offset);

// Gives back to the system what is not in use.
BhcStatus bhc_pinned_trim(void);

// The statistics of the Pinned Heap.
//
// Safety:
// `stats` is null or points to memory for them.
BhcStatus bhc_pinned_stats(BhcRegionStats *stats);

// Makes an object, its words not initialised, and answers a pointer to its header word. May collect.
// `bhc_alloc_inline` is faster.
//
// Safety:
// Roots are as the module says. `info` is null or one that a macro `BHC_INFO_*` made, in constant data. All pointers of
// the object are initialised before anything may collect again.
void *bhc_alloc(BhcMutator *mutator, const BhcInfo *info) BHC_MAKES_OBJECT;

// Sees to it that the next objects of together `words` words, headers included, can be made by
// `bhc_alloc_reserved`, which does not collect: one check for all that a piece of code makes. May collect.
// `bhc_gc_reserve_inline` is faster.
//
// Safety:
// Roots are as the module says.
BhcStatus bhc_gc_reserve(BhcMutator *mutator, size_t words);

// As `bhc_alloc`, out of what was reserved: never collects. Null if that is used up.
// `bhc_alloc_reserved_inline` is faster.
//
// Safety:
// `info` as for `bhc_alloc`. All pointers of the object are initialised before anything may collect.
void *bhc_alloc_reserved(BhcMutator *mutator, const BhcInfo *info) BHC_MAKES_OBJECT;

// Makes an array of `len` elements, all bytes zero, and answers a pointer to its header word; its length follows, then
// its elements. May collect.
//
// Safety:
// Roots are as the module says. `info` is null or one that a macro `BHC_INFO_*` made, in constant data.
void *bhc_alloc_array(BhcMutator *mutator, const BhcInfo *info, size_t len) BHC_MAKES_OBJECT;

// As `bhc_alloc_array`, for plain data that is to be written at once: its elements are not initialised.
//
// Safety:
// As for `bhc_alloc_array`.
void *bhc_alloc_data(BhcMutator *mutator, const BhcInfo *info, size_t len) BHC_MAKES_OBJECT;

// Collects if that was asked for, by `bhc_gc_request`: for loops that do not allocate.
// `bhc_gc_safe_point_inline` is faster.
//
// Safety:
// Roots are as the module says.
BhcStatus bhc_gc_safe_point(BhcMutator *mutator);

// Collects: `collection` is a `BhcCollection`. This cannot run short of memory.
//
// Safety:
// Roots are as the module says.
BhcStatus bhc_gc_collect(BhcMutator *mutator, int32_t collection);

// Pushes a pointer to an object, with any tag, or null, onto the shadow stack. `bhc_gc_root_push_inline` is faster.
//
// Safety:
// Null, or an object that lives; until it is popped.
BhcStatus bhc_gc_root_push(BhcMutator *mutator, void *object);

// Pops what was pushed last, as it is now. Null if that was null, or the shadow stack is empty: then
// `bhc_last_error` is `BHC_STATUS_STACK_EMPTY`. `bhc_gc_root_pop_inline` is faster.
void *bhc_gc_root_pop(BhcMutator *mutator);

// How many slots are on the shadow stack.
size_t bhc_gc_root_depth(BhcMutator *mutator);

// A slot of the shadow stack, counted from the top: 0 is what was pushed last. To be read and written by the rules of
// `bhc_gc_root_push`. Null if there are not so many. `bhc_gc_root_slot_inline` is faster.
void **bhc_gc_root_slot(BhcMutator *mutator, size_t index);

// Pops all but the `depth` slots that were pushed first: the frames of code that is left at once. With fewer there it is
// `BHC_STATUS_STACK_EMPTY`.
BhcStatus bhc_gc_root_truncate(BhcMutator *mutator,
                               size_t depth);

// Makes a stable pointer to an object. Null if there is no memory for it.
//
// Safety:
// An object of this heap that lives, with any tag.
BhcStable *bhc_stable_new(BhcMutator *mutator, void *object);

// Ends a stable pointer. To free null does nothing. They are to be freed before their capability is destroyed; the
// memory of those that are not stays taken.
//
// Safety:
// `bhc_stable_new` gave it for this mutator, and it is not used afterwards.
BhcStatus bhc_stable_free(BhcMutator *mutator, BhcStable *stable);

// What is called in every collection, and by `bhc_gc_verify`, to show roots that only the program knows, to `bhc_gc_visit_root`. Null: nothing
// is. While it runs, functions that use this heap answer `BHC_STATUS_BUSY`, and those that are inline must not be used.
//
// Safety:
// `call` shows all of those slots, with `data`, whenever it is called until another one is set, and does not unwind.
BhcStatus bhc_gc_set_root_callback(BhcMutator *mutator,
                                   void (*call)(BhcRootVisitor *visitor, void *data),
                                   void *data);

// Shows a root: the slot is updated if what it points to has moved.
//
// Safety:
// `visitor` is what the callback was called with, which has not returned yet. The slot holds null or a pointer to an
// object, with any tag.
BhcStatus bhc_gc_visit_root(BhcRootVisitor *visitor, void **slot);

// Stores a pointer into word `index` after the header of an object that is no array: with the write barrier. Never
// collects. `bhc_gc_write_inline` is faster.
//
// Safety:
// An object of this heap, without a tag, which has a pointer there; `value` is null or an object that lives, with any
// tag.
BhcStatus bhc_gc_write(BhcMutator *mutator, void *object, size_t index, void *value);

// Stores a pointer into element `index` of an array of pointers: with the write barrier. Never collects. An index that
// is too large is `BHC_STATUS_INVALID_ARGUMENT`.
//
// Safety:
// An array of this heap, without a tag; `value` as for `bhc_gc_write`.
BhcStatus bhc_gc_write_element(BhcMutator *mutator, void *array, size_t index, void *value);

// What the inline write barrier calls for an old object that is written for the first time since a collection: notes
// that it may point to young ones. To be called before the pointer is stored.
//
// Safety:
// An object of this heap, without a tag, that is no array.
BhcStatus bhc_gc_remember(BhcMutator *mutator, void *object);

// Replaces a thunk by an indirection to `value`: with the write barrier. Never collects. Later collections put `value`,
// with its tag, in place of pointers to the thunk.
//
// Safety:
// A thunk of this heap, without a tag; `value` is an object that lives, with any tag.
BhcStatus bhc_gc_update(BhcMutator *mutator, void *thunk, void *value);

// Replaces an object's header by another descriptor of the same size: a black hole for a thunk.
//
// Safety:
// An object of this heap, without a tag; `info` as for `bhc_alloc`, and its words are valid for it.
BhcStatus bhc_gc_set_info(BhcMutator *mutator, void *object, const BhcInfo *info);

// The object that a pointer, with any tag, leads to: itself, or what it was updated with, which may have
// a tag.
//
// Safety:
// Null, or an object that lives; the thunks that it leads to were not updated with each other in a circle.
void *bhc_gc_follow(BhcMutator *mutator,
                    void *object);

// Makes the pointers of a static object roots, as of a global that is evaluated once: one outside of any heap, whose
// header word points to its descriptor.
//
// Safety:
// The object stays where it is and valid as long as the heap lives.
BhcStatus bhc_gc_register_static(BhcMutator *mutator, void *object);

// Looks at the whole heap: all objects, roots and tables. What is wrong, if anything is (then generated code has an
// error, or the collector), is `BHC_STATUS_CORRUPT`, and `bhc_last_error_message` says
// where. Takes as long as some full collections, and memory of the process allocator, without which it ends the program.
BhcStatus bhc_gc_verify(BhcMutator *mutator);

// The statistics of all regions of a capability.
//
// Safety:
// `stats` is null or points to memory for them.
BhcStatus bhc_stats(const BhcCapability *capability, BhcStats *stats);

// As `bhc_stats`, as a table for people, written as `snprintf` does: at most `size` bytes into `buffer`, with a zero at
// the end. Answers how long the text is, without the zero; 0 if that fails.
//
// Safety:
// There is room for `size` bytes at `buffer`, or `size` is 0.
size_t bhc_stats_text(const BhcCapability *capability,
                      char *buffer,
                      size_t size);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus


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

#endif  /* BHC_RTS_ALLOC_H */

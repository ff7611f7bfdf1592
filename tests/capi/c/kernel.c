/* A numeric kernel whose temporaries are in an arena, as compiled programs call one after another: aligned as they are
 * asked for, in a scope of their own, and the same numbers as a plain loop gives. */
#include "check.h"

enum { ALIGN = 64 };

static float *temporary(BhcArena *arena, size_t len) {
  float *elements = (float *)bhc_arena_alloc_inline(arena, len * sizeof(float), ALIGN);
  CHECK(elements && is_aligned(elements, ALIGN));
  return (float *)BHC_ASSUME_ALIGNED(elements, ALIGN);
}

static float element(size_t at) { return (float)(int)(at * 37 % 1001) - 500.0f; }

/* ys = map (* 2) (zipWith (+) xs (map negate xs')), zs = zipWith (*) ys ys, and their sum: each step to a temporary. */
static float kernel(BhcArena *arena, const float *xs, const float *others, size_t len) {
  BhcArenaMark mark;
  CHECK_OK(bhc_arena_mark(arena, &mark));
  float *negated = temporary(arena, len), *sums = temporary(arena, len), *squares = temporary(arena, len);
  for (size_t at = 0; at < len; at++) negated[at] = -others[at];
  for (size_t at = 0; at < len; at++) sums[at] = (xs[at] + negated[at]) * 2;
  for (size_t at = 0; at < len; at++) squares[at] = sums[at] * sums[at];
  float sum = 0;
  for (size_t at = 0; at < len; at++) sum += squares[at];
  CHECK_OK(bhc_arena_release(arena, &mark));
  return sum;
}

static float plainly(const float *xs, const float *others, size_t len) {
  float sum = 0;
  for (size_t at = 0; at < len; at++) {
    float doubled = (xs[at] - others[at]) * 2;
    sum += doubled * doubled;
  }
  return sum;
}

int main(void) {
  static const size_t LENS[] = {0, 1, 2, 15, 16, 17, 31, 63, 64, 65, 1000, 4099, 100000};
  BhcCapability *capability = create_small();
  CHECK(capability);
  BhcArena *arenas[2] = {bhc_capability_arena(capability), bhc_thread_arena()};
  size_t capacity = 0;
  for (int round = 0; round < (under_valgrind() ? 2 : 20); round++) {
    for (size_t index = 0; index < sizeof LENS / sizeof *LENS; index++) {
      size_t len = LENS[index], size = len * sizeof(float);
      /* Inputs as a foreign function gets them: in blocks that do not move. */
      float *xs = (float *)bhc_pinned_alloc(size, ALIGN), *others = (float *)bhc_pinned_alloc(size, ALIGN);
      CHECK(xs && others && is_aligned(xs, ALIGN) && is_aligned(others, ALIGN));
      for (size_t at = 0; at < len; at++) xs[at] = element(at), others[at] = element(at * 3 + 1);
      float expected = plainly(xs, others, len);
      for (int which = 0; which < 2; which++) {
        size_t used = bhc_arena_used(arenas[which]);
        CHECK(kernel(arenas[which], xs, others, len) == expected);
        CHECK(bhc_arena_used(arenas[which]) == used);
      }
      CHECK_OK(bhc_pinned_free(xs, size, ALIGN));
      CHECK_OK(bhc_pinned_free(others, size, ALIGN));
    }
    /* After the first round the arena has all that it ever needs, and the General Heap was never asked. */
    BhcStats stats = stats_of(capability);
    CHECK(round == 0 || stats.hot_arena_capacity == capacity);
    capacity = stats.hot_arena_capacity;
    CHECK(stats.bytes_allocated == 0 && stats.general_bytes.allocation_count == 0);
    CHECK(stats.hot_arena.current_live == 0 && stats.hot_arena.peak_usage == 3 * 100000 * sizeof(float));
    CHECK(stats.pinned.current_live == 0);
  }
  CHECK_OK(bhc_capability_destroy(capability));
  puts("all checks passed");
  return 0;
}

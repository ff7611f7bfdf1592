/* What the programs here check with. They use the header, the C library and pthreads, nothing else, and are compiled as
 * C11 and as C++17. */
#ifndef CHECK_H
#define CHECK_H

#include <bhc_rts_alloc.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number that the compiler knows nothing about, so that it neither warns about it nor folds what is done with it. */
static inline size_t opaque(size_t number) {
  volatile size_t hidden = number;
  return hidden;
}

static inline void check_failed(const char *what, const char *file, int line) {
  char message[256];
  bhc_last_error_message(message, sizeof message);
  fprintf(stderr, "%s:%d: %s\n  the last error is %d: %s\n", file, line, what, (int)bhc_last_error(), message);
  exit(1);
}

#define CHECK(condition) \
  do { \
    if (!(condition)) check_failed(#condition, __FILE__, __LINE__); \
  } while (0)

#define CHECK_OK(call) CHECK((call) == BHC_STATUS_OK)

/* Makes the last error another one than `status`, so that it is seen to be set. */
static inline void blur(BhcStatus status) {
  if (status == BHC_STATUS_NULL_POINTER) {
    CHECK(bhc_arena_used((const BhcArena *)opaque(64)) == 0 && bhc_last_error() == BHC_STATUS_WRONG_THREAD);
  } else {
    CHECK(bhc_arena_used(NULL) == 0 && bhc_last_error() == BHC_STATUS_NULL_POINTER);
  }
}

/* A call that answers a status, which is also the last error. */
#define CHECK_FAILS(status, call) \
  do { \
    blur(status); \
    BhcStatus answered_ = (call); \
    if (answered_ != (status) || bhc_last_error() != (status)) \
      check_failed(#call " answers " #status, __FILE__, __LINE__); \
  } while (0)

/* A call that answers null, or 0. */
#define CHECK_NOTHING(status, call) \
  do { \
    blur(status); \
    if ((call) != 0 || bhc_last_error() != (status)) \
      check_failed(#call " answers nothing, and " #status, __FILE__, __LINE__); \
  } while (0)

static inline int is_aligned(const void *address, size_t align) { return ((uintptr_t)address & (align - 1)) == 0; }

/* Runs a function on a thread of its own. */
static inline void on_another_thread(void *(*run)(void *), void *data) {
  pthread_t thread;
  void *result = NULL;
  CHECK(pthread_create(&thread, NULL, run, data) == 0);
  CHECK(pthread_join(thread, &result) == 0);
  (void)result;
}

/* Pseudo-random numbers: SplitMix64. */
static inline uint64_t random_number(uint64_t *state) {
  uint64_t mixed = (*state += 0x9e3779b97f4a7c15u);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

/* Run under valgrind, as the environment says. */
static inline int under_valgrind(void) { return getenv("CHECK_UNDER_VALGRIND") != NULL; }

/* With no more addresses than a test needs: valgrind takes half a second for those of a usual heap. */
static inline BhcConfig small_config(void) {
  BhcConfig config = bhc_config_default();
  config.general_reserve = 64 << 20;
  config.shadow_stack = 64 << 10;
  return config;
}

static inline BhcCapability *create_small(void) {
  BhcConfig config = small_config();
  return bhc_capability_create(&config);
}

static inline BhcStats stats_of(const BhcCapability *capability) {
  BhcStats stats;
  CHECK_OK(bhc_stats(capability, &stats));
  return stats;
}

static inline BhcRegionStats pinned_stats(void) {
  BhcRegionStats stats;
  CHECK_OK(bhc_pinned_stats(&stats));
  return stats;
}

/* Everything is as before, but for `failures` more requests that ended in an error. */
static inline int same_but_failed(BhcRegionStats before, BhcRegionStats after, size_t failures) {
  before.failed_allocations += failures;
  return memcmp(&before, &after, sizeof before) == 0;
}

#endif

/* Threads: each with a capability and an arena of its own, blocks of the Pinned Heap that go from one to the other, and
 * collections that others ask for.
 *
 * threads [THREADS [ROUNDS]] */
#include "check.h"

#include <sched.h>

enum { MOST_THREADS = 64, BOX = 256 };

static const BhcInfo CONS = BHC_INFO_FIXED("Cons", 1, 1);

static size_t threads = 8, rounds = 2000;

/* Blocks on their way to whoever frees them. The first bytes of each say its size. */
static struct {
  pthread_mutex_t lock;
  void *blocks[BOX];
  size_t count;
} box = {PTHREAD_MUTEX_INITIALIZER, {NULL}, 0};

/* Puts a block into the box, and takes another one out, if there are many. */
static void *exchange(void *block) {
  void *other = NULL;
  CHECK(pthread_mutex_lock(&box.lock) == 0);
  if (box.count == BOX) {
    size_t at = *(size_t *)block % BOX;
    other = box.blocks[at];
    box.blocks[at] = block;
  } else {
    box.blocks[box.count++] = block;
  }
  CHECK(pthread_mutex_unlock(&box.lock) == 0);
  return other;
}

static void *make_block(size_t size) {
  CHECK(size >= sizeof size);
  unsigned char *block = (unsigned char *)bhc_pinned_alloc(size, 32);
  CHECK(block && is_aligned(block, 32));
  memset(block, (int)(size % 251), size);
  memcpy(block, &size, sizeof size);
  return block;
}

static void free_block(void *block) {
  size_t size;
  memcpy(&size, block, sizeof size);
  const unsigned char *bytes = (const unsigned char *)block;
  for (size_t at = sizeof size; at < size; at++) CHECK(bytes[at] == size % 251);
  CHECK_OK(bhc_pinned_free(block, size, 32));
}

typedef struct {
  pthread_t thread;
  size_t index;
  /* Set by the thread; null until it has one, which is not destroyed before all are done. */
  BhcCapability *capability;
  /* Guarded by `wishes.lock`: it is time to ask it for a collection. */
  int wishes;
} Worker;

static Worker workers[MOST_THREADS];

/* What the main thread waits for. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t changed, all_done;
  size_t done;
} wishes = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

/* Has the main thread ask for a collection of this thread's heap, soon; or stop doing so. */
static void wish(Worker *worker, int is_done) {
  CHECK(pthread_mutex_lock(&wishes.lock) == 0);
  worker->wishes = !is_done;
  wishes.done += (size_t)is_done;
  CHECK(pthread_cond_signal(&wishes.changed) == 0);
  CHECK(pthread_mutex_unlock(&wishes.lock) == 0);
}

/* Asks all threads that wish it for a collection, until all are done. */
static void meet_wishes(void) {
  CHECK(pthread_mutex_lock(&wishes.lock) == 0);
  while (wishes.done < threads) {
    for (size_t index = 0; index < threads; index++) {
      if (workers[index].wishes) CHECK_OK(bhc_gc_request(workers[index].capability, BHC_COLLECTION_FULL));
      workers[index].wishes = 0;
    }
    CHECK(pthread_cond_wait(&wishes.changed, &wishes.lock) == 0);
  }
  CHECK(pthread_cond_broadcast(&wishes.all_done) == 0);
  CHECK(pthread_mutex_unlock(&wishes.lock) == 0);
}

/* Until then other threads look at this one's capability. */
static void wait_until_all_are_done(void) {
  CHECK(pthread_mutex_lock(&wishes.lock) == 0);
  while (wishes.done < threads) CHECK(pthread_cond_wait(&wishes.all_done, &wishes.lock) == 0);
  CHECK(pthread_mutex_unlock(&wishes.lock) == 0);
}

static void cons(BhcMutator *mutator, size_t number) {
  void *cell = bhc_alloc_inline(mutator, &CONS);
  CHECK(cell);
  bhc_words(cell)[0] = bhc_gc_root_pop_inline(mutator);
  bhc_words(cell)[1] = (void *)number;
  CHECK_OK(bhc_gc_root_push_inline(mutator, cell));
}

static void *work(void *data) {
  Worker *worker = (Worker *)data;
  uint64_t random = worker->index;
  BhcConfig config = small_config();
  config.nursery = 32 << 10;
  BhcCapability *capability = bhc_capability_create(&config);
  CHECK(capability && capability == bhc_capability_current());
  __atomic_store_n(&worker->capability, capability, __ATOMIC_RELEASE);
  BhcMutator *mutator = bhc_capability_mutator(capability);
  BhcArena *arenas[2] = {bhc_capability_arena(capability), bhc_thread_arena()};
  CHECK(mutator && arenas[0] && arenas[1]);
  for (size_t other = 0; other < threads; other++) {
    const BhcCapability *foreign = __atomic_load_n(&workers[other].capability, __ATOMIC_ACQUIRE);
    BhcStats stats;
    if (foreign && other != worker->index) CHECK_FAILS(BHC_STATUS_WRONG_THREAD, bhc_stats(foreign, &stats));
  }

  CHECK_OK(bhc_gc_root_push_inline(mutator, NULL));
  for (size_t round = 0; round < rounds; round++) {
    if (round % 50 == 0) wish(worker, 0);
    for (size_t number = 0; number < 20; number++) cons(mutator, round * 20 + number);
    void *other = exchange(make_block(16 + random_number(&random) % (round % 100 ? 2000 : 100000)));
    if (other) free_block(other);
    BhcArena *arena = arenas[round % 2];
    BhcArenaMark mark;
    CHECK_OK(bhc_arena_mark(arena, &mark));
    size_t size = 1 + random_number(&random) % 3000;
    unsigned char *first = (unsigned char *)bhc_arena_alloc_inline(arena, size, 64);
    unsigned char *second = (unsigned char *)bhc_arena_alloc(arena, size, 64);
    CHECK(first && second && is_aligned(first, 64) && is_aligned(second, 64));
    memset(first, (int)worker->index, size);
    memset(second, 255, size);
    for (size_t at = 0; at < size; at++) CHECK(first[at] == worker->index);
    CHECK_OK(bhc_arena_release(arena, &mark));
    if (round % 500 == 499) {
      void *cell = bhc_gc_root_pop_inline(mutator);
      for (size_t number = (round + 1) * 20; number > (round - 499) * 20; number--) {
        CHECK(cell && bhc_words(cell)[1] == (void *)(number - 1));
        cell = bhc_words(cell)[0];
      }
      CHECK(cell == NULL);
      CHECK_OK(bhc_gc_root_push_inline(mutator, NULL));
    }
  }
  /* A loop that does not allocate: others ask for collections, and it comes by. */
  for (int count = 0; count < 5; count++) {
    uint64_t full = stats_of(capability).full_collections;
    wish(worker, 0);
    while (stats_of(capability).full_collections == full) {
      CHECK_OK(bhc_gc_safe_point_inline(mutator));
      sched_yield();
    }
  }
  CHECK_OK(bhc_gc_verify(mutator));
  wish(worker, 1);
  wait_until_all_are_done();
  CHECK_OK(bhc_capability_destroy(capability));
  return NULL;
}

int main(int argc, char **argv) {
  if (argc > 1) threads = strtoul(argv[1], NULL, 10);
  if (argc > 2) rounds = strtoul(argv[2], NULL, 10);
  CHECK(threads <= MOST_THREADS);
  for (size_t index = 0; index < threads; index++) {
    workers[index].index = index;
    CHECK(pthread_create(&workers[index].thread, NULL, work, &workers[index]) == 0);
  }
  meet_wishes();
  for (size_t index = 0; index < threads; index++) CHECK(pthread_join(workers[index].thread, NULL) == 0);
  CHECK(box.count > 0);
  while (box.count > 0) free_block(box.blocks[--box.count]);
  BhcRegionStats stats = pinned_stats();
  CHECK(stats.current_live == 0 && stats.allocation_count == threads * rounds);
  CHECK(stats.allocation_count == stats.deallocation_count && stats.total_allocated == stats.total_deallocated);
  puts("all checks passed");
  return 0;
}

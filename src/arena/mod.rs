//! The Hot Arena: a bump pointer through chunks of memory, freed all at once at the end of a scope.
//!
//! | file | what |
//! |---|---|
//! | `bump` | where the next block goes: arithmetic on addresses |
//! | `chunk` | the pieces of memory, a list |
//! | `frame` | one level: cursor, limit, counters; takes, frees and resizes blocks |
//! | `base` | what all levels share: the list of chunks, growth, statistics |
//! | `hot` | [`HotArena`]: the arena and its own frame |
//! | `builder` | the ways to make one |
//! | `scope` | [`Scope`]: a level on top, freed when its closure returns |
//! | `level` | what arena and scope are alike: the region's methods, how full it is |
//! | `mark` | [`Mark`]: the same without closures, for compiled code |
//! | `typed` | values, slices and buffers, for both |
//! | `boxed` | [`ArenaBox`]: a value that is dropped |
//! | `allocator` | the allocator-api2 traits |
//! | `huge` | [`HugePages`]: a backing |
//! | `thread` | an arena per thread |

#[cfg(feature = "allocator-api2")]
mod allocator;
mod base;
mod boxed;
mod builder;
mod bump;
mod chunk;
mod frame;
mod hot;
#[cfg(feature = "std")]
mod huge;
mod level;
mod mark;
mod scope;
#[cfg(feature = "std")]
mod thread;
mod typed;

pub use boxed::ArenaBox;
pub use builder::{CallerMemory, HotArenaBuilder};
pub use hot::HotArena;
#[cfg(feature = "std")]
pub use huge::HugePages;
pub use mark::Mark;
pub use scope::{Scope, with_arena};
#[cfg(feature = "std")]
pub use thread::with_thread_arena;

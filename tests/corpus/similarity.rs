//! Words, vectors and products against a computation in `f64` that shares nothing with the program: maps of strings,
//! every word in every vector, and the cosine by its definition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bhc_rts_alloc::{Align, AllocError, AllocStats, GeneralHeap, HotArena, KnownAlign, MemoryRegion, Place, SimdLevel};
use proptest::prelude::*;

use crate::corpus::compare::{self, BLOCK, Pair, TEMPORARIES, Top};
use crate::corpus::options::Limits;
use crate::corpus::terms::{Bag, TermIndex};
use crate::corpus::tokens::for_each_word;
use crate::corpus::vectors::{self, Features, MIN_COLUMNS, Vector};
use crate::region::{Audit, Failure};

/// How far a similarity may be off: `f32` has 24 bits, and sums of a few thousand products lose a few of them.
const TOLERANCE: f64 = 1e-5;

/// The words of a text, by the stated rule.
pub fn words(text: &str) -> Vec<String> {
    let mut words = vec![Vec::new()];
    for c in text.chars() {
        match c.is_alphanumeric() {
            true => words.last_mut().unwrap().push(c),
            false => words.push(Vec::new()),
        }
    }
    let kept = words.into_iter().filter(|word| word.len() >= 2 && word.len() <= 40);
    kept.map(|word| word.iter().flat_map(|c| c.to_lowercase()).collect()).collect()
}

/// What the arena of the temporaries counts while all pairs of so many documents are compared: each block is a scope with
/// one allocation, of a sum for each place in the block.
pub fn temporaries_of(documents: usize) -> AllocStats {
    let sides: Vec<usize> = (0..documents).step_by(BLOCK).map(|first| (documents - first).min(BLOCK)).collect();
    let mut stats = AllocStats::default();
    for (at, rows) in sides.iter().enumerate() {
        for columns in &sides[at..] {
            stats.record_alloc(rows * columns * size_of::<f32>());
            stats.record_dealloc(rows * columns * size_of::<f32>());
        }
    }
    stats
}

/// The documents as maps from words to weights, scaled to length 1, and the words that more than one of them has, in the
/// order of their first appearance.
fn reference(texts: &[String]) -> (Vec<BTreeMap<String, f64>>, Vec<String>) {
    let documents: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
    let mut spread: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let mut order: Vec<&str> = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        for word in document {
            let holders = spread.entry(word).or_default();
            if holders.is_empty() {
                order.push(word);
            }
            holders.insert(number);
        }
    }
    let vectors = documents.iter().map(|document| {
        let mut vector: BTreeMap<String, f64> = BTreeMap::new();
        for word in document {
            *vector.entry(word.clone()).or_insert(0.0) += 1.0;
        }
        for (word, weight) in &mut vector {
            let rarity = (1.0 + texts.len() as f64) / (1.0 + spread[word.as_str()].len() as f64);
            *weight = (1.0 + weight.ln()) * (1.0 + rarity.ln());
        }
        let length = vector.values().map(|weight| weight.powi(2)).sum::<f64>().sqrt();
        vector.values_mut().for_each(|weight| *weight /= length);
        vector
    });
    let shared = order.iter().filter(|word| spread[**word].len() > 1).map(|word| (*word).to_owned()).collect();
    (vectors.collect(), shared)
}

fn cosine(x: &BTreeMap<String, f64>, y: &BTreeMap<String, f64>) -> f64 {
    x.iter().filter_map(|(word, weight)| Some(weight * y.get(word)?)).sum()
}

/// The bags, and how many of them have each word.
fn bags(texts: &[String]) -> (Vec<Bag>, Vec<u32>) {
    let mut heap = GeneralHeap::new();
    let mut index = TermIndex::new(&mut heap, usize::MAX);
    let mut bag = |text: &String| {
        let text = index.count(text).expect("memory");
        let bag = text.bag.clone();
        index.add(text);
        bag
    };
    (texts.iter().map(&mut bag).collect(), index.documents())
}

/// Checks vectors, padding and all similarities of `texts`, at every level of this machine, with the temporaries in an
/// arena as it is usual and in one for vectors.
fn check(texts: &[String]) -> Features {
    let region = Audit::new();
    let place = Place::<Align<64>>::new().within(&region);
    let (bags, documents_with) = bags(texts);
    let (features, vectors) = vectors::build(&bags, &documents_with, &Limits::default(), &place).expect("memory");
    let (expected, shared) = reference(texts);

    assert!(!features.folded(), "this many words are to have a column each: {features:?}");
    assert_eq!((features.shared, features.columns), (shared.len(), shared.len()));
    assert_eq!(vectors.len(), texts.len());
    for (vector, expected) in vectors.iter().zip(&expected) {
        for (element, word) in vector.iter().zip(&shared) {
            let weight = expected.get(word).copied().unwrap_or(0.0);
            assert!((f64::from(*element) - weight).abs() < 1e-6, "{word}: {element} and {weight}");
        }
        let padded = vector.padded();
        assert_eq!(padded.len(), shared.len().next_multiple_of(16), "whole vectors");
        assert!(padded[shared.len()..].iter().all(|padding| padding.to_bits() == 0), "the padding is zero");
    }

    for level in SimdLevel::levels() {
        check_pairs(level, &vectors, &expected, HotArena::builder().within(&region).build());
        check_pairs(level, &vectors, &expected, HotArena::builder().align::<Align<64>>().within(&region).build());
    }
    features
}

/// Checks all similarities of the documents with these vectors, which are to be these maps.
fn check_pairs<A: KnownAlign>(
    level: SimdLevel,
    vectors: &[Vector<&Audit>],
    expected: &[BTreeMap<String, f64>],
    mut temporaries: HotArena<A, &Audit>,
) {
    let mut seen = BTreeSet::new();
    let mut blocks = 0;
    let visit = |i: usize, j: usize, similarity: f32| {
        let expected = cosine(&expected[i], &expected[j]);
        let difference = (f64::from(similarity) - expected).abs();
        assert!(difference < TOLERANCE, "{level}: pair {i}, {j}: {similarity} and {expected}");
        assert!(i < j && seen.insert((i, j)), "each pair comes once, the earlier document first");
    };
    compare::for_each_pair(level, vectors, &mut temporaries, visit, || blocks += 1).expect("memory");
    assert_eq!(seen.len(), expected.len() * expected.len().saturating_sub(1) / 2, "all pairs come");
    assert_eq!(blocks, compare::blocks(expected.len()), "the progress bar comes to its end");
    assert_eq!(temporaries.stats(), temporaries_of(expected.len()));
    assert_eq!(temporaries.stats().allocation_count, blocks, "one for each block");
    assert!(temporaries.capacity() < 2 * TEMPORARIES, "all blocks use the same memory");
}

/// The files below a folder, sorted.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    files
}

/// The text files of this repository's `src`.
pub fn own_sources() -> Vec<String> {
    let files = files_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    files.iter().map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect()
}

/// Numbers that look random and are the same everywhere.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed), |x| Some(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407)))
        .skip(1)
        .map(|x| x >> 33)
}

/// `documents` texts of `length` words out of `vocabulary`.
fn made_up(documents: usize, length: usize, vocabulary: u64) -> Vec<String> {
    let text = |seed| numbers(seed).take(length).map(|n| format!("word{} ", n % vocabulary)).collect();
    (0..documents as u64).map(text).collect()
}

#[test]
fn similarities_of_this_repository_are_those_of_a_plain_computation() {
    let texts = own_sources();
    assert!(texts.len() > 20);
    check(&texts);
}

#[test]
fn similarities_over_many_blocks_and_panels_are_those_of_a_plain_computation() {
    let features = check(&made_up(70, 600, 3000));
    assert!(features.columns > 2500, "several panels, the last one not full: {features:?}");
}

#[test]
fn words_of_one_document_count_in_its_length_though_they_have_no_column() {
    let texts = ["apple banana".to_owned(), "apple cherry".to_owned(), "durian".to_owned()];
    let features = check(&texts);
    assert_eq!((features.terms, features.shared, features.columns), (4, 1, 1));
}

#[test]
fn no_documents_and_documents_without_words_are_no_special_case() {
    check(&[]);
    check(&["one text alone".to_owned()]);
    check(&[String::new(), "some words".to_owned(), "x y z !".to_owned(), "some words".to_owned()]);
}

/// Texts of few words, so that many are shared, of several alphabets, lengths and separators.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-cA-C]{1,3}",
        2 => "[a-z0-9]{4,6}",
        1 => prop_oneof![Just("Straße"), Just("ΛΌΓΟΣ"), Just("İstanbul"), Just("数据"), Just("x\u{301}y")]
            .prop_map(str::to_owned),
        1 => "[k]{38,42}",
        1 => any::<char>().prop_map(String::from),
    ];
    let separator = prop_oneof![Just(" "), Just("\n"), Just("_"), Just("-->"), Just("\u{a0}")];
    prop::collection::vec((word, separator), 0..40)
        .prop_map(|words| words.into_iter().flat_map(|(word, separator)| [word, separator.to_owned()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn similarities_of_any_documents_are_those_of_a_plain_computation(
        texts in prop::collection::vec(text(), 0..50)
    ) {
        check(&texts);
    }

    #[test]
    fn words_are_found_by_the_stated_rule(text in prop_oneof![text(), any::<String>()]) {
        let mut found = Vec::new();
        let all = for_each_word(&text, |word| {
            found.push(word.to_owned());
            Ok::<_, ()>(())
        });
        prop_assert_eq!(all, Ok(()));
        prop_assert_eq!(found, words(&text));
    }

    #[test]
    fn the_best_pairs_are_kept_in_a_stated_order(
        similarities in prop::collection::vec(prop_oneof![Just(0.0f32), Just(0.5), Just(1.0), -0.1f32..1.0], 0..200),
        limit in 0usize..30,
    ) {
        let pairs: Vec<Pair> = similarities
            .iter()
            .enumerate()
            .map(|(at, similarity)| Pair { similarity: *similarity, left: at % 7, right: 7 + at })
            .collect();
        let mut top = Top::new(limit);
        pairs.iter().for_each(|pair| top.offer(*pair));

        let mut expected: Vec<Pair> = pairs.into_iter().filter(|pair| pair.similarity > 0.0).collect();
        expected.sort_by(|a, b| {
            b.similarity.partial_cmp(&a.similarity).unwrap().then(a.left.cmp(&b.left)).then(a.right.cmp(&b.right))
        });
        expected.truncate(limit);
        prop_assert_eq!(top.into_sorted(), expected);
    }
}

#[test]
fn words_of_41_characters_are_left_out_and_of_40_are_not() {
    let (shorter, longer) = ("ä".repeat(40), "ä".repeat(41));
    let mut found = Vec::new();
    let third = for_each_word(&format!("{shorter} {longer} a bc ABC de"), |word| {
        found.push(word.to_owned());
        if found.len() == 3 { Err("enough") } else { Ok(()) }
    });
    assert_eq!(found, [shorter.as_str(), "bc", "abc"]);
    assert_eq!(third, Err("enough"), "the first error ends it");
}

#[test]
fn more_words_than_columns_are_folded_and_similarities_stay_close() {
    // Documents that overlap more and more: from hardly at all to almost all words.
    let mut texts = made_up(40, 800, 8000);
    for (document, text) in made_up(40, 800, 8000).iter().enumerate().skip(1) {
        let common: Vec<&str> = texts[0].split(' ').take(20 * document).collect();
        texts[document] = format!("{} {}", common.join(" "), text);
    }
    texts.push(texts[7].clone());
    let (bags, documents_with) = bags(&texts);
    let (expected, shared) = reference(&texts);
    let limits = Limits { vector_bytes: 0, ..Limits::default() };
    let region = Audit::new();
    let place = Place::<Align<64>>::new().within(&region);
    let (features, vectors) = vectors::build(&bags, &documents_with, &limits, &place).expect("memory");
    assert!(shared.len() > 4 * MIN_COLUMNS, "far more words than columns: {}", shared.len());
    assert!(features.folded());
    assert_eq!((features.shared, features.columns), (shared.len(), MIN_COLUMNS));

    let error = 1.0 / (MIN_COLUMNS as f64).sqrt();
    let (mut sum, mut squares, mut pairs) = (0.0, 0.0, 0.0);
    let visit = |i: usize, j: usize, similarity: f32| {
        let off = f64::from(similarity) - cosine(&expected[i], &expected[j]);
        assert!(off.abs() < 5.0 * error, "pair {i}, {j} is off by {off}");
        (sum, squares, pairs) = (sum + off, squares + off * off, pairs + 1.0);
        if (i, j) == (7, 40) {
            assert!((similarity - 1.0).abs() < 1e-5, "the same words stay the same: {similarity}");
        }
    };
    let mut temporaries = HotArena::new();
    compare::for_each_pair(SimdLevel::detect(), &vectors, &mut temporaries, visit, || ()).expect("memory");
    assert!((sum / pairs).abs() < 0.3 * error, "errors cancel: {} on average", sum / pairs);
    assert!((squares / pairs).sqrt() < 1.2 * error, "the stated error: {}", (squares / pairs).sqrt());
}

#[test]
fn columns_are_as_many_as_memory_and_time_allow() {
    let texts = made_up(10, 3000, 3000);
    let (bags, documents_with) = bags(&texts);
    let columns = |vector_bytes, products| {
        let limits = Limits { vector_bytes, products, ..Limits::default() };
        let (features, vectors) = vectors::build(&bags, &documents_with, &limits, &Place::new()).expect("memory");
        assert!(vectors.iter().all(|vector| vector.len() == features.columns));
        features.columns
    };
    let all = columns(usize::MAX, usize::MAX);
    assert!(all > 2500);
    assert_eq!(columns(10 * 2000 * 4, usize::MAX), 2000, "ten documents of 2000 columns of 4 bytes");
    assert_eq!(columns(usize::MAX, 45 * 1500), 1500, "45 pairs of 1500 columns");
    assert_eq!(columns(0, 0), MIN_COLUMNS, "a product of fewer columns says nothing");
}

#[test]
fn without_memory_for_vectors_or_temporaries_there_is_an_error_and_nothing_leaks() {
    let texts = made_up(40, 100, 300);
    let (bags, documents_with) = bags(&texts);
    let region = Audit::new();
    let place = Place::<Align<64>>::new().within(&region);
    // Isolated, the scope of each of the three blocks asks for memory; else the first one does.
    for (isolate, chunks) in [(false, 1), (true, 3)] {
        let arena = HotArena::builder().isolate_scopes(isolate);
        let mut refused = 0;
        loop {
            // And all after it: an arena that is refused a chunk tries a smaller one.
            region.fail(Failure::From(refused));
            let mut temporaries = arena.within(&region).build();
            let result = vectors::build(&bags, &documents_with, &Limits::default(), &place).and_then(|(_, vectors)| {
                compare::for_each_pair(SimdLevel::detect(), &vectors, &mut temporaries, |_, _, _| (), || ())
            });
            let counted = temporaries.stats();
            drop(temporaries);
            region.expect_empty();
            if region.requests() <= refused {
                result.expect("nothing was refused");
                break;
            }
            result.expect_err("requests were refused");
            assert_eq!(counted.failed_allocations, usize::from(refused >= 40), "{refused}");
            assert_eq!((counted.current_live, counted.allocation_count), (0, refused.saturating_sub(40)), "{refused}");
            refused += 1;
        }
        assert_eq!(refused, 40 + chunks, "40 vectors, and the chunks of the arena");
    }
}

#[test]
fn an_arena_too_small_for_a_block_is_an_error_and_good_for_smaller_ones() {
    let texts = made_up(BLOCK + 1, 100, 300);
    let (bags, documents_with) = bags(&texts);
    let (_, vectors) = vectors::build(&bags, &documents_with, &Limits::default(), &Place::new()).expect("memory");
    let mut temporaries = HotArena::builder().align::<Align<64>>().capacity(1024).fixed().build();
    let mut compare = |documents: usize| {
        let mut blocks = 0;
        let vectors = &vectors[BLOCK + 1 - documents..];
        let result =
            compare::for_each_pair(SimdLevel::detect(), vectors, &mut temporaries, |_, _, _| (), || blocks += 1);
        (result, blocks, temporaries.stats())
    };
    let (result, blocks, stats) = compare(BLOCK + 1);
    assert_eq!(result, Err(AllocError::OutOfMemory { requested: TEMPORARIES, available: 1024 }));
    assert_eq!((blocks, stats), (0, AllocStats { failed_allocations: 1, ..AllocStats::default() }));
    let (result, blocks, stats) = compare(16);
    assert_eq!((result, blocks), (Ok(()), 1));
    assert_eq!(stats, AllocStats { failed_allocations: 1, ..temporaries_of(16) });
}

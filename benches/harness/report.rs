//! The results as a table for people, and as JSON for programs.

use std::fmt::Write;

use super::Outcome;

/// Three significant digits or more, never an exponent.
fn figure(value: f64) -> String {
    let decimals = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// One row: our value, each peer's with our ratio to it (`*` marks the best peer), notes, and the bars. A program's value is
/// followed by its memory.
pub fn print(outcome: &Outcome) {
    let unit = outcome.unit.name();
    let peak = |peak: Option<f64>| peak.map_or(String::new(), |peak| format!("   peak {} MiB", figure(peak)));
    println!("{}  ours {} {unit}{}", outcome.row, figure(outcome.ours), peak(outcome.our_peak));
    for (i, peer) in outcome.peers.iter().enumerate() {
        let mark = if i == outcome.best { '*' } else { ' ' };
        let (value, ratio) = (figure(peer.value), figure(peer.ratio));
        println!("  {mark} {:<18} {value:>9} {unit}   ratio {ratio}{}", peer.name, peak(peer.peak));
    }
    for note in &outcome.notes {
        println!("    {note}");
    }
    for bar in outcome.bars {
        let (reached, peer) = outcome.reached(bar.against);
        let verdict = if reached <= bar.at_most { "met" } else { "MISSED" };
        let bar = match peer {
            Some(peer) => format!("{} x {peer}", bar.at_most),
            None => format!("{} {unit}", bar.at_most),
        };
        println!("    bar: <= {bar}: {verdict} ({reached:.3})");
    }
}

/// `[{"row", "unit", "ours", "peers": {name: value}, "ratio_to_best"}]`; lower is better in every row. Rows of programs
/// also have `"peak_mib": {name: value}`, us included.
pub fn json(outcomes: &[Outcome]) -> String {
    // Names are ASCII without control characters, and values are finite, so Rust's forms of both are JSON's.
    let mut json = String::from("[");
    for (i, outcome) in outcomes.iter().enumerate() {
        let peers: Vec<String> = outcome.peers.iter().map(|peer| format!("{:?}: {}", peer.name, peer.value)).collect();
        let peaks: Vec<String> = [("ours", outcome.our_peak)]
            .into_iter()
            .chain(outcome.peers.iter().map(|peer| (peer.name, peer.peak)))
            .filter_map(|(name, peak)| Some(format!("{name:?}: {}", peak?)))
            .collect();
        let peaks = if peaks.is_empty() { peaks.concat() } else { format!(", \"peak_mib\": {{{}}}", peaks.join(", ")) };
        write!(
            json,
            "{}\n  {{\"row\": {:?}, \"unit\": {:?}, \"ours\": {}, \"peers\": {{{}}}, \"ratio_to_best\": {}{peaks}}}",
            if i == 0 { "" } else { "," },
            outcome.row,
            outcome.unit.name(),
            outcome.ours,
            peers.join(", "),
            outcome.ratio_to_best(),
        )
        .expect("writing to a string cannot fail");
    }
    json.push_str("\n]\n");
    json
}

//! What is printed, and in which colour. The streams take colours out where `NO_COLOR` is set, where the output is
//! no terminal, or where `--color never` asks for that.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const CYAN: Style = AnsiColor::Cyan.on_default();
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();

/// Prints a line; a reader that has gone away is no error.
pub(super) fn print(line: &str) {
    let _ = try_print(line);
}

/// Prints a line to stderr.
pub(super) fn complain(line: &str) {
    let _ = try_complain(line);
}

/// Prints a line, for a command that ends only when its reader has gone away.
///
/// # Errors
///
/// Where stdout takes nothing more.
pub(super) fn try_print(line: &str) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// The same on stderr.
///
/// # Errors
///
/// Where stderr takes nothing more.
pub(super) fn try_complain(line: &str) -> io::Result<()> {
    writeln!(anstream::stderr(), "{line}")
}

/// A text of Redis or of another process with its control characters escaped: a terminal would obey them.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

pub(super) fn print_json(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints a whole text as it is.
pub(super) fn print_page(page: &[u8]) {
    let _ = std::io::stdout().write_all(page);
}

/// A table without frames, so that columns can be cut out by other programs.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

/// Progress on stderr, which a stderr that is no terminal does not get.
pub(super) fn progress(template: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// A time as people read it: three digits and a unit.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.1 => format!("{:.1} ms", s * 1e3),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s => humantime::format_duration(Duration::from_secs(s as u64)).to_string(),
    }
}

/// A size in bytes as people read it.
pub(super) fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < units.len() {
        size /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_the_rest_is_as_it_was() {
        assert_eq!(plain("a\u{1b}]0;x\u{7}\r\n\u{9b}2J"), r"a\u{1b}]0;x\u{7}\r\n\u{9b}2J");
        assert_eq!(plain("käse \"1\" µ ✓"), "käse \"1\" µ ✓");
    }
}

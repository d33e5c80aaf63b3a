//! The screen of `watch`.

use std::io;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line as Text;
use ratatui::widgets::{Paragraph, Row, Table, TableState};
use serde_json::json;

use super::super::args::Watch;
use super::super::failure::{Exit, Failure};
use super::super::fleet::Source;
use super::super::stats::percent;
use super::super::terminal::time;
use super::{Board, Line, rate, saved};

/// Between two looks at the keyboard.
const TICK: Duration = Duration::from_millis(50);

const HELP: &str = "q quit · ↑↓ select · / filter · s sort · space pause · i invalidate the prefix";

/// What the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Calls,
    Hit,
    Saved,
    Bypassed,
    Name,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Calls => Self::Hit,
            Self::Hit => Self::Saved,
            Self::Saved => Self::Bypassed,
            Self::Bypassed => Self::Name,
            Self::Name => Self::Calls,
        }
    }
}

/// What a key means at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Look,
    Filter,
    /// A prefix is to be invalidated: `y` does it.
    Confirm(String),
}

/// The screen and what was typed.
#[derive(Debug)]
struct Screen {
    board: Board,
    mode: Mode,
    filter: String,
    sort: Sort,
    paused: bool,
    selected: TableState,
    note: String,
}

pub(super) async fn run(source: &Source, options: &Watch) -> Result<Exit, Failure> {
    let mut terminal = ratatui::init();
    let done = show(&mut terminal, source, options).await;
    ratatui::restore();
    done
}

async fn show(
    terminal: &mut DefaultTerminal,
    source: &Source,
    options: &Watch,
) -> Result<Exit, Failure> {
    let mut screen = Screen::new();
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due && !screen.paused {
            match source.stats().await {
                Ok(stats) => screen.board.take(&stats, Instant::now()),
                Err(error) => screen.note = format!("no figures: {}", error.text()),
            }
            due = Instant::now() + options.interval;
        }
        let drawn = terminal.draw(|frame| screen.draw(frame));
        drawn.map_err(|error| Failure::failed(format!("the terminal: {error}")))?;
        let key = next_key().map_err(|error| Failure::failed(format!("the keyboard: {error}")))?;
        match key.map(|key| screen.press(key)) {
            Some(Press::Quit) => return Ok(Exit::Fine),
            Some(Press::Invalidate(prefix)) => {
                let done = invalidate(source, &prefix).await;
                screen.note = done.unwrap_or_else(|error| error.text().to_owned());
            }
            Some(Press::Nothing) | None => tokio::time::sleep(TICK).await,
        }
    }
}

fn next_key() -> io::Result<Option<KeyCode>> {
    if !event::poll(Duration::ZERO)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else { return Ok(None) };
    if key.kind != KeyEventKind::Press {
        return Ok(None);
    }
    let interrupt = key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
    Ok(Some(if interrupt { KeyCode::Null } else { key.code }))
}

/// Invalidates a prefix; what is to be said of it.
async fn invalidate(source: &Source, prefix: &str) -> Result<String, Failure> {
    let failed = |error: cache_runtime::Error| Failure::failed(error.to_string());
    let is_pending = match source {
        Source::Fleet(fleet) => {
            fleet.cache.invalidate_prefix(prefix).await.map_err(failed)?;
            false
        }
        Source::Api(api) => {
            let reason = "cachectl watch";
            let asked = api.post("invalidate", json!({ "prefix": prefix, "reason": reason }));
            asked.await?.1["pending"] == true
        }
    };
    Ok(if is_pending {
        format!("{prefix} is not invalidated yet: the process goes on sending it")
    } else {
        format!("{prefix} was invalidated")
    })
}

/// What a key asks for beyond the screen.
#[derive(Debug, PartialEq, Eq)]
enum Press {
    Nothing,
    Quit,
    Invalidate(String),
}

impl Screen {
    fn new() -> Self {
        Self {
            board: Board::default(),
            mode: Mode::Look,
            filter: String::new(),
            sort: Sort::Calls,
            paused: false,
            selected: TableState::default().with_selected(0),
            note: String::new(),
        }
    }

    /// The prefixes that are shown, sorted.
    fn rows(&self) -> Vec<(&String, &Line)> {
        let wanted = |(name, _): &(&String, &Line)| name.contains(&self.filter);
        let mut rows: Vec<_> = self.board.prefixes.iter().filter(wanted).collect();
        // Those without a figure last.
        let by = |value: fn(&Line) -> Option<f64>| {
            let of = move |line: &Line| value(line).unwrap_or(-1.0);
            move |one: &(&String, &Line), two: &(&String, &Line)| of(two.1).total_cmp(&of(one.1))
        };
        match self.sort {
            Sort::Calls => rows.sort_by(by(|line| line.calls)),
            Sort::Hit => rows.sort_by(by(|line| line.hit)),
            Sort::Saved => rows.sort_by(by(|line| line.saved)),
            Sort::Bypassed => rows.sort_by(by(|line| line.bypassed)),
            Sort::Name => {}
        }
        rows
    }

    fn press(&mut self, key: KeyCode) -> Press {
        match (self.mode.clone(), key) {
            (_, KeyCode::Null) | (Mode::Look, KeyCode::Char('q') | KeyCode::Esc) => {
                return Press::Quit;
            }
            (Mode::Confirm(prefix), KeyCode::Char('y')) => {
                self.mode = Mode::Look;
                return Press::Invalidate(prefix);
            }
            (Mode::Confirm(_), _) | (Mode::Filter, KeyCode::Enter) => self.mode = Mode::Look,
            (Mode::Filter, KeyCode::Esc) => {
                self.filter.clear();
                self.mode = Mode::Look;
            }
            (Mode::Filter, KeyCode::Backspace) => drop(self.filter.pop()),
            (Mode::Filter, KeyCode::Char(c)) => self.filter.push(c),
            (Mode::Look, KeyCode::Char('/')) => self.mode = Mode::Filter,
            (Mode::Look, KeyCode::Char('s')) => self.sort = self.sort.next(),
            (Mode::Look, KeyCode::Char(' ')) => self.paused = !self.paused,
            (Mode::Look, KeyCode::Down) => self.selected.select_next(),
            (Mode::Look, KeyCode::Up) => self.selected.select_previous(),
            (Mode::Look, KeyCode::Char('?')) => HELP.clone_into(&mut self.note),
            (Mode::Look, KeyCode::Char('i')) => {
                let at = self.selected.selected().unwrap_or(0);
                if let Some((name, _)) = self.rows().get(at) {
                    self.mode = Mode::Confirm((*name).clone());
                }
            }
            _ => {}
        }
        Press::Nothing
    }

    fn footer(&self) -> String {
        match &self.mode {
            Mode::Confirm(prefix) => {
                format!("invalidate the prefix {prefix}? y for yes, another key for no")
            }
            Mode::Filter => format!("filter: {}▏", self.filter),
            Mode::Look if !self.note.is_empty() => self.note.clone(),
            Mode::Look => HELP.to_owned(),
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let [head, body, foot] =
            Layout::vertical([Constraint::Length(2), Constraint::Min(1), Constraint::Length(1)])
                .areas(frame.area());
        let paused = if self.paused { "  PAUSED" } else { "" };
        frame.render_widget(Paragraph::new(format!("{}{paused}", self.board.line())), head);
        let rows: Vec<Row<'_>> =
            self.rows().into_iter().map(|(name, line)| row(name, line)).collect();
        let widths = [
            Constraint::Min(20),
            Constraint::Length(10),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(30),
        ];
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let header = ["PREFIX", "CALLS/s", "HIT", "NEAR", "SAVED/s", "RUN", "BYPASS/s", "CALLS"];
        let table = Table::new(rows, widths)
            .header(Row::new(header).style(bold))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, body, &mut self.selected);
        frame.render_widget(Text::from(self.footer()), foot);
    }
}

fn row<'a>(name: &str, line: &Line) -> Row<'a> {
    Row::new([
        name.to_owned(),
        rate(line.calls),
        percent(line.hit),
        percent(line.near),
        saved(line.saved),
        line.run.map_or_else(|| "-".to_owned(), time),
        rate(line.bypassed),
        sparkline(line),
    ])
}

fn sparkline(line: &Line) -> String {
    let most = line.history.iter().copied().max().unwrap_or(0).max(1);
    let bars = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    line.history.iter().map(|value| bars[(value * 7 / most) as usize]).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::super::http::Api;
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::new();
        let minute = |calls: u64| json!({ "calls": calls, "served": calls, "seconds": 10 });
        let stats = json!({
            "processes": [{}],
            "total": { "last_minute": minute(400) },
            "prefixes": [
                { "prefix": "areas", "last_minute": minute(100) },
                { "prefix": "users", "last_minute": minute(300) },
            ],
        });
        screen.board.take(&stats, Instant::now());
        screen
    }

    fn names(screen: &Screen) -> Vec<&str> {
        screen.rows().into_iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn rows_are_sorted_and_filtered_by_keys() {
        let mut screen = screen();
        assert_eq!(names(&screen), ["users", "areas"]);
        for key in "/are".chars() {
            screen.press(KeyCode::Char(key));
        }
        assert_eq!(names(&screen), ["areas"]);
        screen.press(KeyCode::Esc);
        for _ in 0..4 {
            screen.press(KeyCode::Char('s'));
        }
        assert_eq!(names(&screen), ["areas", "users"]);
    }

    #[test]
    fn a_prefix_is_invalidated_only_after_a_yes() {
        let mut screen = screen();
        screen.press(KeyCode::Char('i'));
        assert_eq!(screen.press(KeyCode::Char('n')), Press::Nothing);
        screen.press(KeyCode::Char('i'));
        assert_eq!(screen.press(KeyCode::Char('y')), Press::Invalidate("users".to_owned()));
    }

    #[tokio::test]
    async fn an_invalidation_that_is_pending_is_not_told_as_done() {
        for (pending, told) in [(true, "not invalidated yet"), (false, "was invalidated")] {
            let answer = move || async move { axum::Json(json!({ "pending": pending })) };
            let app = axum::Router::new().route("/invalidate", axum::routing::post(answer));
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("http://{}", listener.local_addr().expect("it is bound"));
            let serving = tokio::spawn(async move { axum::serve(listener, app).await });
            let api = Api::at(&url).expect("a URL");
            let note = invalidate(&Source::Api(api), "areas").await.expect("it answers");
            assert!(note.starts_with("areas ") && note.contains(told), "{note}");
            serving.abort();
        }
    }

    #[test]
    fn the_screen_shows_prefixes_and_rates() {
        let mut screen = screen();
        let mut terminal = Terminal::new(TestBackend::new(110, 8)).expect("a terminal");
        terminal.draw(|frame| screen.draw(frame)).expect("it is drawn");
        let shown = terminal.backend().to_string();
        for text in ["processes 1", "calls/s 40.0", "users", "30.0", "100.0 %", "q quit"] {
            assert!(shown.contains(text), "{text} is missing:\n{shown}");
        }
    }
}

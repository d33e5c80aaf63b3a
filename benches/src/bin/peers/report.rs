//! Markdown.

/// One line of the table of targets.
pub struct Target {
    pub work: &'static str,
    pub target: String,
    pub measured: String,
    pub met: bool,
}

impl Target {
    pub fn at_least(work: &'static str, floor: f64, unit: &str, measured: f64) -> Self {
        Self {
            work,
            target: format!("at least {floor} {unit}"),
            measured: format!("{measured:.2}"),
            met: measured >= floor,
        }
    }

    pub fn at_most(work: &'static str, limit: f64, unit: &str, measured: f64) -> Self {
        Self {
            work,
            target: format!("at most {limit} {unit}"),
            measured: format!("{measured:.2}"),
            met: measured <= limit,
        }
    }
}

pub fn title(title: &str, about: &str) {
    println!("\n## {title}\n\n{about}");
}

/// A table: the first column on the left, the others on the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    println!("\n| {} |", header.join(" | "));
    println!("|---|{}", "--:|".repeat(header.len() - 1));
    for row in rows {
        println!("| {} |", row.join(" | "));
    }
}

pub fn targets(targets: &[Target]) {
    title("Targets", "Ratios are medians of the ratios within each round.");
    let rows: Vec<_> = targets
        .iter()
        .map(|target| {
            let met = if target.met { "yes" } else { "**no**" };
            [target.work, &target.target, &target.measured, met].map(str::to_owned).to_vec()
        })
        .collect();
    table(&["work", "target", "measured", "met"], &rows);
}

/// Seconds, in the unit that reads well.
pub fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds.is_nan() => "-".to_owned(),
        _ if seconds < 10e-6 => format!("{:.0} ns", seconds * 1e9),
        _ if seconds < 10e-3 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 10.0 => format!("{:.0} ms", seconds * 1e3),
        _ => format!("{seconds:.0} s"),
    }
}

/// A number with its thousands apart.
pub fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

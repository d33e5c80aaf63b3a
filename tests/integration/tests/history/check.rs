//! Whether a history keeps what is promised: a pure function of what was recorded.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use support::{Bound, Function, Invalidation, Made, Operation, Read, Unit, Value};

mod tests;

/// For how long a process may serve a copy after another's invalidation has returned.
const HEARD: Duration = Duration::from_secs(1);

/// The outcome of a call that was answered by a copy in its process.
pub(crate) const LOCAL_HIT: &str = "local-hit";

/// Something that a process has done.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) process: u32,
    pub(crate) operation: Operation,
}

/// What a checked history amounts to.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// With the number of operations that had ended by then.
    pub(crate) violations: Vec<(usize, String)>,
    pub(crate) reads: usize,
    pub(crate) invalidations: usize,
    /// Calls that had no store to ask, and may share what is going on in their process.
    pub(crate) excepted: usize,
    /// Those among them that got an older value so.
    pub(crate) excepted_old: usize,
    pub(crate) outcomes: BTreeMap<String, usize>,
    /// Values of local copies that another process had invalidated by then.
    pub(crate) copies_old: usize,
    /// The longest time that such a call began after the invalidation had returned.
    pub(crate) oldest_copy: Duration,
}

impl Verdict {
    /// Calls that were answered by a copy in their process.
    pub(crate) fn local_hits(&self) -> usize {
        self.outcomes.get(LOCAL_HIT).copied().unwrap_or(0)
    }
}

/// What a value must have, from the invalidations that had returned before its call began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Owed {
    /// The run has begun after this.
    began: u64,
    version: u64,
}

impl Owed {
    fn and(self, other: Self) -> Self {
        Self { began: self.began.max(other.began), version: self.version.max(other.version) }
    }

    fn is_paid_by(self, value: &Value) -> bool {
        value.began >= self.began && value.version >= self.version
    }
}

/// What is owed from when on, for each entry: by everybody, or by the process that invalidated.
#[derive(Default)]
struct Debts(HashMap<Creditor, Vec<(u64, Owed)>>);

/// An entry, and the process that owes by itself.
type Creditor = (Unit, Option<u32>);

impl Debts {
    fn of(history: &[Event]) -> Self {
        let mut debts = Self::default();
        for Event { process, operation } in history {
            let Operation::Invalidation(Invalidation { begin, end, bound, units, .. }) = operation
            else {
                continue;
            };
            let all = (*bound == Bound::All).then_some(None);
            for (unit, version) in units {
                let owed = Owed { began: *begin, version: *version };
                for whom in all.into_iter().chain([Some(*process)]) {
                    debts.0.entry((*unit, whom)).or_default().push((*end, owed));
                }
            }
        }
        for debts in debts.0.values_mut() {
            debts.sort_unstable_by_key(|(end, _)| *end);
            let mut all = Owed::default();
            for (_, owed) in debts {
                all = all.and(*owed);
                *owed = all;
            }
        }
        debts
    }

    /// What a call owes that began at `begin`; what others invalidated may be `heard` later.
    fn at(&self, unit: Unit, process: u32, begin: u64, heard: Duration) -> Owed {
        let owed = |whom, begin| {
            let debts = self.0.get(&(unit, whom))?;
            let before = debts.partition_point(|(end, _)| *end < begin);
            Some(debts[before.checked_sub(1)?].1)
        };
        let others = begin.saturating_sub(heard.as_nanos() as u64);
        let (all, own) = (owed(None, others), owed(Some(process), begin));
        all.unwrap_or_default().and(own.unwrap_or_default())
    }

    /// When it had returned what a value is older than, for everybody.
    fn unpaid_since(&self, unit: Unit, value: &Value) -> Option<u64> {
        let debts = self.0.get(&(unit, None))?;
        let paid = debts.partition_point(|(_, owed)| owed.is_paid_by(value));
        debts.get(paid).map(|(end, _)| *end)
    }
}

/// Checks a history; `patience` is how long a call may take while its process is not frozen.
pub(crate) fn check(
    mut history: Vec<Event>,
    frozen: &HashMap<u32, Vec<(u64, u64)>>,
    patience: Duration,
) -> Verdict {
    history.sort_by_key(|event| match &event.operation {
        Operation::Read(read) => read.end,
        Operation::Invalidation(invalidation) => invalidation.end,
    });
    let debts = Debts::of(&history);
    let mut verdict = Verdict::default();
    for (number, Event { process, operation }) in history.iter().enumerate() {
        let Operation::Read(read) = operation else {
            verdict.invalidations += 1;
            continue;
        };
        verdict.reads += 1;
        *verdict.outcomes.entry(read.outcome.clone()).or_default() += 1;
        let pauses = frozen.get(process).map_or(&[][..], Vec::as_slice);
        let took = awake(read, pauses);
        let mut wrong = judge(read, *process, &debts, &mut verdict);
        if took > patience {
            wrong = Some(format!("took {took:?}"));
        }
        if let Some(wrong) = wrong {
            let because = because(&history, read, *process);
            let text = format!("{wrong}: process {process}, {read:?}, {because}");
            verdict.violations.push((number + 1, text));
        }
    }
    verdict
}

/// How long a call took, less what its process was frozen for.
fn awake(read: &Read, pauses: &[(u64, u64)]) -> Duration {
    let frozen = |(from, to): &(u64, u64)| to.min(&read.end).saturating_sub(*from.max(&read.begin));
    let frozen: u64 = pauses.iter().map(frozen).sum();
    Duration::from_nanos((read.end - read.begin).saturating_sub(frozen))
}

fn judge(read: &Read, process: u32, debts: &Debts, verdict: &mut Verdict) -> Option<String> {
    let value = match &read.value {
        Ok(value) => value,
        Err(error) => return Some(format!("failed with {error}")),
    };
    if value.item != read.unit.item {
        return Some("the value of another item".to_owned());
    }
    let nested = read.unit.function == Function::Nested;
    if nested && value.made == Made::OfStale && went_through_the_store(&read.outcome) {
        return Some("made to be stored, of a stale value".to_owned());
    }
    if nested && value.made == Made::OfCopy && went_through_the_store(&read.outcome) {
        return Some("made to be stored, of a copy".to_owned());
    }
    let old = old(read, process, value, debts);
    if read.outcome == LOCAL_HIT
        && let Some(since) = debts.unpaid_since(read.unit, value)
        && let Some(age) = read.begin.checked_sub(since)
    {
        verdict.copies_old += 1;
        verdict.oldest_copy = verdict.oldest_copy.max(Duration::from_nanos(age));
    }
    if had_no_store(&read.outcome) {
        verdict.excepted += 1;
        verdict.excepted_old += usize::from(old.is_some());
        // It may be shared, not fetched.
        return old.filter(|_| !nested && value.process != process);
    }
    old
}

/// In what way a value is older than it may be.
fn old(read: &Read, process: u32, value: &Value, debts: &Debts) -> Option<String> {
    let heard = if read.outcome == LOCAL_HIT { HEARD } else { Duration::ZERO };
    let owed = debts.at(read.unit, process, read.begin, heard);
    if value.began < owed.began {
        return Some("from a run that began before an invalidation".to_owned());
    }
    let version = match value.made {
        Made::Of | Made::OfStale => owed.version,
        _ if went_through_the_store(&read.outcome) => owed.version,
        // What a run got without a store was another's, and nothing was stored of it.
        Made::WithoutStore => 0,
        // The same, and what it got was a copy.
        Made::OfCopy => debts.at(read.unit, value.process, value.began, HEARD).version,
    };
    (value.version < version)
        .then(|| format!("version {} after {version} had been invalidated", value.version))
}

fn had_no_store(outcome: &str) -> bool {
    let reason = outcome.strip_prefix("bypassed (").and_then(|reason| reason.strip_suffix(')'));
    let reasons = ["unavailable", "timeout", "busy", "writes-refused", "failed"];
    reason.is_some_and(|reason| reasons.contains(&reason))
}

fn went_through_the_store(outcome: &str) -> bool {
    ["hit", "stale", "stale-if-error", "waited", "computed", LOCAL_HIT].contains(&outcome)
}

/// The last invalidation that the call came after.
fn because(history: &[Event], read: &Read, process: u32) -> String {
    let before = history.iter().filter_map(|event| match &event.operation {
        Operation::Invalidation(invalidation) => Some((event.process, invalidation)),
        Operation::Read(_) => None,
    });
    let binding = before.filter(|(other, invalidation)| {
        invalidation.end < read.begin
            && (invalidation.bound == Bound::All || *other == process)
            && invalidation.units.iter().any(|(unit, _)| *unit == read.unit)
    });
    let last = binding.max_by_key(|(_, invalidation)| invalidation.begin);
    last.map_or_else(String::new, |(other, Invalidation { names, begin, end, bound, .. })| {
        format!("after process {other} had invalidated {names} for {bound:?} from {begin} to {end}")
    })
}

//! Prints the shortest way in which a mistake breaks the promise; without a name, all their names.

use model::Flaw;

fn main() {
    let Some(name) = std::env::args().nth(1) else {
        return Flaw::ALL.iter().for_each(|flaw| println!("{flaw}"));
    };
    match Flaw::ALL.into_iter().find(|flaw| flaw.to_string() == name) {
        Some(flaw) => println!("{flaw}: {}", flaw.case().search()),
        None => eprintln!("no mistake is called `{name}`; without a name, all are listed"),
    }
}

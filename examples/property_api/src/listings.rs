//! The market that the site shows: what there is, and listings generated from a fixed seed.

use fastrand::Rng;

/// Every file is filled from it, so that two machines answer alike.
const SEED: u64 = 0x00c0_ffee;

/// A kind of listing, as in the path of a request, and its price against that of a sale.
pub(crate) const KINDS: [(&str, f64); 6] = [
    ("buy", 1.0),
    ("sold", 0.96),
    ("auction", 0.78),
    ("new-homes", 1.15),
    ("rent", 0.0042),
    ("student", 0.0034),
];

/// An area: where it lies, in km east and north of the centre, and its price for a square metre.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    pub(crate) east: f64,
    pub(crate) north: f64,
    per_m2: f64,
}

const fn place(name: &'static str, east: f64, north: f64, per_m2: f64) -> Place {
    Place { name, east, north, per_m2 }
}

const PLACES: [Place; 24] = [
    place("Abbey Wood", 12.4, -2.6, 5200.0),
    place("Balham", -2.1, -7.3, 8900.0),
    place("Barnet", -4.8, 15.9, 6300.0),
    place("Battersea", -2.8, -4.4, 10_400.0),
    place("Bow", 6.9, 2.4, 7600.0),
    place("Brixton", 0.9, -5.2, 7900.0),
    place("Camden", -1.2, 3.6, 10_900.0),
    place("Chiswick", -9.4, -1.7, 9300.0),
    place("Croydon", 1.7, -15.1, 5100.0),
    place("Dulwich", 2.9, -7.1, 8200.0),
    place("Ealing", -12.5, 0.6, 7400.0),
    place("Enfield", 3.1, 16.2, 5500.0),
    place("Greenwich", 8.6, -2.8, 7700.0),
    place("Hackney", 5.0, 4.3, 8800.0),
    place("Hampstead", -3.7, 5.5, 13_100.0),
    place("Islington", 1.6, 3.4, 10_100.0),
    place("Kensington", -4.6, -0.8, 17_200.0),
    place("Lewisham", 7.1, -6.2, 6400.0),
    place("Richmond", -12.1, -5.5, 9700.0),
    place("Stratford", 8.7, 3.7, 7000.0),
    place("Sutton", -5.0, -16.3, 5300.0),
    place("Tooting", -2.9, -9.0, 7700.0),
    place("Walthamstow", 7.0, 8.4, 6800.0),
    place("Wimbledon", -5.3, -9.6, 8600.0),
];

/// A type of building: its share of the market, bedrooms, square metres a bedroom, and value.
struct Building {
    name: &'static str,
    share: f64,
    bedrooms: (u32, u32),
    m2: f64,
    value: f64,
}

const BUILDINGS: [Building; 6] = [
    Building { name: "studio", share: 0.08, bedrooms: (1, 1), m2: 31.0, value: 1.08 },
    Building { name: "flat", share: 0.44, bedrooms: (1, 3), m2: 29.0, value: 1.0 },
    Building { name: "maisonette", share: 0.10, bedrooms: (2, 4), m2: 28.0, value: 0.97 },
    Building { name: "terraced", share: 0.22, bedrooms: (2, 5), m2: 31.0, value: 1.02 },
    Building { name: "semi-detached", share: 0.11, bedrooms: (3, 5), m2: 34.0, value: 1.07 },
    Building { name: "detached", share: 0.05, bedrooms: (3, 6), m2: 41.0, value: 1.2 },
];

/// One row.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) id: u32,
    pub(crate) kind: &'static str,
    pub(crate) place: &'static Place,
    pub(crate) property_type: &'static str,
    pub(crate) bedrooms: u32,
    pub(crate) floor_area: u32,
    pub(crate) built: u32,
    pub(crate) days_listed: u32,
    pub(crate) east: f64,
    pub(crate) north: f64,
    pub(crate) price: u32,
}

/// Whether there are listings of that kind.
pub(crate) fn is_kind(kind: &str) -> bool {
    KINDS.iter().any(|(name, _)| *name == kind)
}

/// Whether there are buildings of that type.
pub(crate) fn is_property_type(property_type: &str) -> bool {
    BUILDINGS.iter().any(|building| building.name == property_type)
}

/// An area by its name.
pub(crate) fn find_place(name: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.name == name)
}

/// The first `count` listings: always the same ones, numbered from 1.
pub(crate) fn generate(count: u32) -> impl Iterator<Item = Listing> {
    let mut rng = Rng::with_seed(SEED);
    (1..=count).map(move |id| listing(id, &mut rng))
}

fn listing(id: u32, rng: &mut Rng) -> Listing {
    let (kind, level) = KINDS[rng.usize(..KINDS.len())];
    let place = &PLACES[rng.usize(..PLACES.len())];
    let building = building(rng.f64());
    let bedrooms = rng.u32(building.bedrooms.0..=building.bedrooms.1);
    let floor_area = floor_area(building, bedrooms, rng);
    let built = rng.u32(1860..=2025);
    let price = place.per_m2 * building.value * f64::from(floor_area) * level * spread(rng);
    Listing {
        id,
        kind,
        place,
        property_type: building.name,
        bedrooms,
        floor_area,
        built,
        days_listed: rng.u32(0..90) + rng.u32(0..90),
        east: place.east + rng.f64() * 3.0 - 1.5,
        north: place.north + rng.f64() * 3.0 - 1.5,
        price: price as u32,
    }
}

fn building(mut at: f64) -> &'static Building {
    let hit = BUILDINGS.iter().find(|building| {
        at -= building.share;
        at < 0.0
    });
    hit.unwrap_or(&BUILDINGS[0])
}

fn floor_area(building: &Building, bedrooms: u32, rng: &mut Rng) -> u32 {
    let middle = building.m2 * f64::from(bedrooms);
    (middle * (0.8 + rng.f64() * 0.4)) as u32
}

/// A factor around 1: the sum of uniform numbers is near enough to a bell.
fn spread(rng: &mut Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.f64()).sum();
    0.7 + sum * 0.15
}

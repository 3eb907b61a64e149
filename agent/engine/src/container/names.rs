//! Names of containers: what is allowed, and random ones in Docker's style, a mood and a person.

use rand::seq::IndexedRandom as _;

const MOODS: &[&str] = &[
    "able", "agile", "airy", "amber", "ample", "apt", "ardent", "astute", "awake", "balmy",
    "blithe", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid", "careful", "cheery",
    "civil", "clever", "cosy", "crisp", "curious", "dapper", "daring", "deft", "devoted", "dreamy",
    "eager", "earnest", "easy", "elated", "fair", "fearless", "festive", "fond", "frank", "free",
    "gallant", "gentle", "gifted", "glad", "gleeful", "golden", "graceful", "grand", "happy",
    "hardy", "hearty", "honest", "hopeful", "humble", "jolly", "jovial", "keen", "kind", "lively",
    "loyal", "lucid", "lucky", "mellow", "merry", "mighty", "mild", "modest", "neat", "nimble",
    "noble", "patient", "peaceful", "placid", "playful", "plucky", "polite", "proud", "quick",
    "quiet", "quirky", "radiant", "ready", "serene", "sharp", "sincere", "smart", "snug", "sound",
    "spry", "stoic", "sturdy", "sunny", "sweet", "swift", "tender", "thrifty", "tidy", "trusty",
    "upbeat", "valiant", "vivid", "warm", "wise", "witty", "zesty",
];

const PEOPLE: &[&str] = &[
    "abel",
    "ampere",
    "archimedes",
    "babbage",
    "banneker",
    "bardeen",
    "becquerel",
    "bernoulli",
    "bessel",
    "bohr",
    "boltzmann",
    "boole",
    "bose",
    "brahe",
    "braille",
    "cantor",
    "carnot",
    "carson",
    "cauchy",
    "cavendish",
    "celsius",
    "chandrasekhar",
    "church",
    "clarke",
    "copernicus",
    "coulomb",
    "cray",
    "curie",
    "dalton",
    "darwin",
    "descartes",
    "dijkstra",
    "dirac",
    "doppler",
    "edison",
    "einstein",
    "engelbart",
    "erdos",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "fibonacci",
    "fleming",
    "foucault",
    "fourier",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goodall",
    "hamilton",
    "hawking",
    "heisenberg",
    "hertz",
    "hilbert",
    "hodgkin",
    "hooke",
    "hopper",
    "hubble",
    "hypatia",
    "joule",
    "kalam",
    "kepler",
    "khorana",
    "kirch",
    "knuth",
    "kowalevski",
    "lagrange",
    "lalande",
    "lamarr",
    "laplace",
    "leavitt",
    "leibniz",
    "linnaeus",
    "lovelace",
    "maxwell",
    "mayer",
    "mccarthy",
    "mcclintock",
    "meitner",
    "mendel",
    "mendeleev",
    "mirzakhani",
    "morse",
    "napier",
    "nash",
    "newton",
    "nobel",
    "noether",
    "ohm",
    "pascal",
    "pasteur",
    "pauli",
    "planck",
    "poincare",
    "ptolemy",
    "ramanujan",
    "raman",
    "riemann",
    "ritchie",
    "rubin",
    "rutherford",
    "sagan",
    "shannon",
    "somerville",
    "tesla",
    "thompson",
    "torvalds",
    "turing",
    "volta",
    "watt",
    "wescoff",
    "wiles",
    "wright",
    "yalow",
    "yonath",
];

/// Returns a random name, such as `brave_noether`; `attempt` beyond the first adds a digit, as the
/// plain one may be taken.
pub(crate) fn random(attempt: u32) -> String {
    let mut rng = rand::rng();
    let mood = MOODS.choose(&mut rng).copied().unwrap_or("calm");
    let person = PEOPLE.choose(&mut rng).copied().unwrap_or("turing");
    match attempt {
        0 => format!("{mood}_{person}"),
        n => format!("{mood}_{person}{n}"),
    }
}

/// Whether `name` may name a container: two characters or more of `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_docker_judges_them() {
        for vector in crate::vectors::vectors("names.json") {
            let name = vector["input"].as_str().expect("text");
            assert_eq!(vector["valid"], is_valid(name), "{name:?}");
        }
    }

    #[test]
    fn random_names_are_valid() {
        for attempt in 0..100 {
            assert!(is_valid(&random(attempt)));
        }
    }

    #[test]
    fn names_that_are_short_or_look_like_paths_or_options_are_refused() {
        for name in ["", "q", "-ab", "a/b", "a b", ".ab", "a\n", "ä1"] {
            assert!(!is_valid(name), "{name:?}");
        }
        for name in ["ab", "A0_.-", "0x"] {
            assert!(is_valid(name), "{name:?}");
        }
    }
}

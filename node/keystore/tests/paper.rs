//! Keys as words: public vectors, any m of n shares and no fewer, and every mistake by name.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use proptest::prelude::*;
use proptest::sample::subsequence;
use stemma_keystore::paper::{
    CombineError, Phrase, PhraseError, Share, ShareError, SplitError, WordError, combine, split,
};
use stemma_keystore::{Purpose, SecretKey, generate};

/// BIP39's English test vectors of 256 bits (github.com/trezor/python-mnemonic, `vectors.json`).
const BIP39: [(&str, &str); 7] = [
    (
        "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful \
         legal winner thank year wave sausage worth title",
    ),
    (
        "8080808080808080808080808080808080808080808080808080808080808080",
        "letter advice cage absurd amount doctor acoustic avoid letter advice cage absurd amount doctor acoustic \
         avoid letter advice cage absurd amount doctor acoustic bless",
    ),
    (
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo vote",
    ),
    (
        "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c",
        "hamster diagram private dutch cause delay private meat slide toddler razor book happy fancy gospel tennis \
         maple dilemma loan word shrug inflict delay length",
    ),
    (
        "9f6a2878b2520799a44ef18bc7df394e7061a224d2c33cd015b157d746869863",
        "panda eyebrow bullet gorilla call smoke muffin taste mesh discover soft ostrich alcohol speed nation flash \
         devote level hobby quick inner drive ghost inside",
    ),
    (
        "066dca1a2bb7e8a1db2832148ce9933eea0f3ac9548d793112d9a95c9407efad",
        "all hour make first leader extend hole alien behind guard gospel lava path output census museum junior \
         mass reopen famous sing advance salt reform",
    ),
    (
        "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
        "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol \
         group space point ten exist slush involve unfold",
    ),
];

fn seed(key: &SecretKey) -> [u8; 32] {
    key.signing_key().to_bytes()
}

/// The words of a text of ours, without numbers and lines beside them.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.contains(':'));
    let words = lines.flat_map(str::split_whitespace).filter(|word| word.parse::<u32>().is_err());
    words.map(str::to_owned).collect()
}

#[test]
fn bip39_vectors() {
    for (entropy, phrase) in BIP39 {
        let key = Phrase::parse(phrase).unwrap().restore(Some(Purpose::Account)).unwrap();
        assert_eq!(hex::encode(seed(&key)), entropy);
        assert_eq!(words(&Phrase::of(&key).text()).join(" "), phrase);
    }
}

#[test]
fn a_phrase_keeps_its_purpose() {
    for purpose in Purpose::ALL {
        let key = generate(purpose).unwrap();
        let text = Phrase::of(&key).text();
        let phrase = Phrase::parse(&text).unwrap();
        assert_eq!(phrase.purpose(), Some(purpose));
        let restored = phrase.restore(None).unwrap();
        assert_eq!((seed(&restored), restored.purpose()), (seed(&key), purpose));
        let other = Purpose::ALL.into_iter().find(|other| *other != purpose).unwrap();
        assert!(matches!(phrase.restore(Some(other)), Err(PhraseError::WrongPurpose { .. })));
        let bare = Phrase::parse(&words(&text).join("\n")).unwrap();
        assert!(matches!(bare.restore(None), Err(PhraseError::MissingPurpose)));
        assert_eq!(bare.restore(Some(other)).unwrap().purpose(), other);
    }
}

#[test]
fn mistakes_in_a_phrase_are_named_and_not_repeated() {
    let key = SecretKey::from_seed(&[5; 32], Purpose::Member);
    let text = Phrase::of(&key).text();
    let good = words(&text);
    let parse = |words: &[String]| Phrase::parse(&words.join(" ")).unwrap_err();
    assert_eq!(parse(&good[1..]), PhraseError::Words(WordError::Count { expected: 24, found: 23 }));
    let mut unknown = good.clone();
    unknown[6] = "stemmata".to_owned();
    let error = parse(&unknown);
    assert_eq!(error, PhraseError::Words(WordError::Unknown { place: 7 }));
    assert!(!format!("{error:?}").contains("stemmata"));
    let mut wrong = good.clone();
    wrong[6] = if good[6] == "zoo" { "abandon" } else { "zoo" }.to_owned();
    assert_eq!(parse(&wrong), PhraseError::Checksum);
    let other = hex::encode(generate(Purpose::Member).unwrap().public_key());
    let altered = text.replace(&hex::encode(key.public_key()), &other);
    assert!(matches!(Phrase::parse(&altered).unwrap().restore(None), Err(PhraseError::KeyMismatch { .. })));
    let king = text.replace("member", "king");
    assert!(matches!(Phrase::parse(&king), Err(PhraseError::UnknownPurpose(_))));
    assert!(!format!("{:?}", Phrase::parse(&text).unwrap()).contains("5, 5"));
}

/// Multiplication in AES's field, written apart from the library's.
fn times(mut one: u8, mut other: u8) -> u8 {
    let mut product = 0;
    while other != 0 {
        product ^= one * (other & 1);
        one = (one << 1) ^ (0x1b * (one >> 7));
        other >>= 1;
    }
    product
}

fn inverse(of: u8) -> u8 {
    (1..=255).find(|other| times(of, *other) == 1).unwrap()
}

/// The value at 0 of the polynomial through these points.
fn at_zero(points: &[(u8, u8)]) -> u8 {
    let term = |&(x, y): &(u8, u8)| {
        let others = points.iter().filter(|(other, _)| *other != x);
        others.fold(y, |product, (other, _)| times(product, times(*other, inverse(x ^ other))))
    };
    points.iter().map(term).fold(0, |sum, term| sum ^ term)
}

/// Index and value of a share, read from its words by what the specification says.
fn decode(share: &Share) -> (u8, [u8; 32]) {
    let list = bip39::Language::English.word_list();
    let number = |word: &String| list.iter().position(|listed| listed == word).unwrap();
    let bits: String = words(&share.text()).iter().map(|word| format!("{:011b}", number(word))).collect();
    let bytes: Vec<u8> = (0..48).map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap()).collect();
    (bytes[3], bytes[12..44].try_into().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_m_of_n_restore_and_no_fewer(
        seed_bytes in any::<[u8; 32]>(),
        (threshold, count, chosen, fewer) in (2_u8..=7).prop_flat_map(|threshold| {
            (Just(threshold), threshold..=9).prop_flat_map(|(threshold, count)| {
                let all: Vec<usize> = (0..usize::from(count)).collect();
                let chosen = subsequence(all.clone(), usize::from(threshold)..=usize::from(count)).prop_shuffle();
                let fewer = subsequence(all, usize::from(threshold) - 1).prop_shuffle();
                (Just(threshold), Just(count), chosen, fewer)
            })
        }),
    ) {
        let key = SecretKey::from_seed(&seed_bytes, Purpose::Validator);
        let texts: Vec<_> = split(&key, threshold, count).unwrap().iter().map(Share::text).collect();
        let read = |places: &[usize]| -> Vec<Share> {
            places.iter().map(|place| Share::parse(&texts[*place]).unwrap()).collect()
        };
        let restored = combine(&read(&chosen)).unwrap();
        prop_assert_eq!((seed(&restored), restored.purpose()), (seed_bytes, Purpose::Validator));
        let points: Vec<(u8, [u8; 32])> = read(&chosen).iter().map(decode).collect();
        for at in 0..32 {
            let points: Vec<(u8, u8)> = points.iter().map(|(x, values)| (*x, values[at])).collect();
            prop_assert_eq!(at_zero(&points), seed_bytes[at]);
        }
        let found = fewer.len();
        prop_assert_eq!(combine(&read(&fewer)).unwrap_err(), CombineError::TooFew { threshold, found });
    }
}

/// One share alone says nothing: whatever the secret, its bytes take every value. (RUSTSEC-2024-0398 is what happens where the
/// coefficients are never zero: then a share of two never equals the secret.)
#[test]
fn a_share_of_two_takes_every_value() {
    let key = SecretKey::from_seed(&[0xa5; 32], Purpose::Account);
    let mut seen = [0_u32; 256];
    for _ in 0..400 {
        let (_, values) = decode(&split(&key, 2, 2).unwrap()[0]);
        values.iter().for_each(|value| seen[usize::from(*value)] += 1);
    }
    // 12,800 draws, 50 for each value on average: 0 or 120 of any is less likely than one in 10^18.
    for (value, count) in seen.iter().enumerate() {
        assert!((1..120).contains(count), "{value:#04x}: {count}");
    }
}

#[test]
fn shares_that_do_not_belong_together_are_named() {
    let (key, other) = (generate(Purpose::Member).unwrap(), generate(Purpose::Member).unwrap());
    let (one, again, foreign) = (split(&key, 2, 3).unwrap(), split(&key, 2, 3).unwrap(), split(&other, 2, 3).unwrap());
    let mix = |shares: [&Share; 2]| combine(&shares.map(Clone::clone)).unwrap_err();
    assert!(matches!(mix([&one[0], &foreign[1]]), CombineError::OtherKey { place: 1, .. }));
    assert!(matches!(mix([&one[0], &again[1]]), CombineError::OtherSet { place: 1, .. }));
    assert_eq!(mix([&one[0], &one[0]]), CombineError::Twice { index: 1, place: 1 });
    assert_eq!(combine(&[]).unwrap_err(), CombineError::None);
    let error = mix([&one[0], &foreign[1]]).to_string();
    assert!(error.contains(&one[0].key_id()) && error.contains(&foreign[1].key_id()), "{error}");
    for (threshold, count) in [(0, 3), (1, 3), (4, 3), (2, 33), (2, 1)] {
        assert!(matches!(split(&key, threshold, count), Err(SplitError::Numbers { .. })), "{threshold} of {count}");
    }
}

#[test]
fn any_wrong_or_exchanged_word_of_a_share_is_noticed() {
    let key = SecretKey::from_seed(&[9; 32], Purpose::Network);
    let text = split(&key, 3, 5).unwrap()[2].text();
    let good = words(&text);
    assert_eq!(good.len(), 35);
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] = if good[at] == "zoo" { "abandon" } else { "zoo" }.to_owned();
        assert_eq!(Share::parse(&changed.join(" ")).unwrap_err(), ShareError::Checksum, "word {}", at + 1);
        changed.clone_from(&good);
        changed.swap(at, (at + 1) % 35);
        if changed != good {
            assert_eq!(Share::parse(&changed.join(" ")).unwrap_err(), ShareError::Checksum, "word {}", at + 1);
        }
    }
    let missing = Share::parse(&good[..34].join(" ")).unwrap_err();
    assert_eq!(missing, ShareError::Words(WordError::Count { expected: 35, found: 34 }));
    let share = Share::parse(&text).unwrap();
    assert_eq!((share.index(), share.threshold(), share.count(), share.purpose()), (3, 3, 5, Purpose::Network));
    assert!(!format!("{share:?}").contains("value"));
}

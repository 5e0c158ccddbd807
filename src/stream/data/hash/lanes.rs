//! MD5 (RFC 1321) of short texts, several side by side: each of its steps waits for the one before, so one text alone
//! leaves most of a core idle.
//!
//! All steps stand in one loop over the lanes, which the compiler makes vector instructions of: four lanes at once, and
//! those of both halves in turns. It does not where the loop over the lanes is inside the one over the steps, which
//! takes three times as long.

/// Texts at once.
pub(super) const LANES: usize = 8;
const HALF: usize = LANES / 2;
/// Bytes of a text that fits one block with its padding.
pub(super) const BYTES_MAX: usize = BLOCK_BYTES - 9;

const BLOCK_BYTES: usize = 64;

/// One number of each text.
type Lane = [u32; LANES];
/// The state of one text.
type State = [u32; 4];

const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// 2^32 times the sine of 1 to 64, without its sign.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// The digests of at most [`LANES`] texts of at most [`BYTES_MAX`] bytes each, big endian; what is behind them means
/// nothing.
pub(super) fn digests(texts: &[&[u8]]) -> [u128; LANES] {
    let words = words(texts);
    let state = steps(&words);
    std::array::from_fn(|lane| {
        let word = |at: usize| u128::from(state[at][lane].wrapping_add(START[at]).swap_bytes());
        word(0) << 96 | word(1) << 64 | word(2) << 32 | word(3)
    })
}

/// The block of each text: the text, a bit that is set, zeros, and the length in bits.
fn words(texts: &[&[u8]]) -> [Lane; 16] {
    let mut words = [[0; LANES]; 16];
    for (lane, text) in texts.iter().enumerate() {
        let mut block = [0; BLOCK_BYTES];
        block[..text.len()].copy_from_slice(text);
        block[text.len()] = 0x80;
        block[BLOCK_BYTES - 8..].copy_from_slice(&(8 * text.len() as u64).to_le_bytes());
        for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
            word[lane] = u32::from_le_bytes(*bytes);
        }
    }
    words
}

/// The 64 steps for all lanes.
fn steps(words: &[Lane; 16]) -> [Lane; 4] {
    let [mut a, mut b, mut c, mut d] = [[0; LANES]; 4];
    for lane in 0..HALF {
        let other = lane + HALF;
        let (word, other_word) = (|at: usize| words[at][lane], |at: usize| words[at][other]);
        let (mut one, mut two) = (START, START);
        (one, two) = (first(one, word), first(two, other_word));
        (one, two) = (second(one, word), second(two, other_word));
        (one, two) = (third(one, word), third(two, other_word));
        (one, two) = (fourth(one, word), fourth(two, other_word));
        [a[lane], b[lane], c[lane], d[lane]] = one;
        [a[other], b[other], c[other], d[other]] = two;
    }
    [a, b, c, d]
}

#[inline]
fn first(state: State, word: impl Fn(usize) -> u32) -> State {
    quarter(state, 0, [7, 12, 17, 22], word, |b, c, d| d ^ (b & (c ^ d)))
}

#[inline]
fn second(state: State, word: impl Fn(usize) -> u32) -> State {
    quarter(state, 1, [5, 9, 14, 20], |at| word((5 * at + 1) % 16), |b, c, d| c ^ (d & (b ^ c)))
}

#[inline]
fn third(state: State, word: impl Fn(usize) -> u32) -> State {
    quarter(state, 2, [4, 11, 16, 23], |at| word((3 * at + 5) % 16), |b, c, d| b ^ c ^ d)
}

#[inline]
fn fourth(state: State, word: impl Fn(usize) -> u32) -> State {
    quarter(state, 3, [6, 10, 15, 21], |at| word(7 * at % 16), |b, c, d| c ^ (b | !d))
}

/// Sixteen of the steps.
#[inline]
fn quarter(
    mut state: State,
    number: usize,
    turns: [u32; 4],
    word: impl Fn(usize) -> u32,
    mix: impl Fn(u32, u32, u32) -> u32,
) -> State {
    for at in 0..16 {
        let [a, b, c, d] = state;
        let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(word(at).wrapping_add(SINES[16 * number + at]));
        state = [d, b.wrapping_add(sum.rotate_left(turns[at % 4])), b, c];
    }
    state
}

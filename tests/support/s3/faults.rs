//! Faults on order: the next call of a kind, every call, or by chance from a seed.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

/// Kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Put,
    Begin,
    Part,
    Complete,
    Abort,
    /// Reads and lists.
    Other,
}

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: the call is served as usual.
    None,
    /// An error answer; nothing is stored.
    Answer(u16, &'static str),
    /// 301 with the bucket's region.
    Redirect(&'static str),
    /// 200 with an error in its body; nothing is stored.
    ErrorIn200(&'static str),
    /// The call is served, and then an error is answered.
    StoreThenAnswer(u16, &'static str),
    /// The call is served, and then the connection breaks.
    StoreThenClose,
    /// The connection breaks after so many bytes of the body.
    CutBody(usize),
    /// One bit of the body arrives wrong.
    Garble,
    /// The call is served after a while.
    Delay(Duration),
    /// No answer, ever.
    Hang,
}

/// The faults of one server.
pub struct Faults(Mutex<Plan>);

struct Plan {
    /// One after the other, for calls of their kind.
    next: Vec<(Op, VecDeque<Fault>)>,
    always: Vec<(Op, Fault)>,
    /// With their probability in millionths.
    chances: Vec<(Option<Op>, Fault, u64)>,
    state: u64,
}

impl Faults {
    pub(super) fn new(seed: u64) -> Self {
        Faults(Mutex::new(Plan { next: Vec::new(), always: Vec::new(), chances: Vec::new(), state: seed }))
    }

    /// `fault` for the next call of kind `op` that has none yet. Give [`Fault::None`] to let one through.
    pub fn next(&self, op: Op, fault: Fault) {
        let mut plan = self.0.lock().unwrap();
        match plan.next.iter_mut().find(|(of, _)| *of == op) {
            Some((_, queue)) => queue.push_back(fault),
            None => plan.next.push((op, VecDeque::from([fault]))),
        }
    }

    /// `fault` for each of the next `count` calls: what the SDK tries again by itself fails for good with 3.
    pub fn next_few(&self, op: Op, count: usize, fault: &Fault) {
        for _ in 0..count {
            self.next(op, fault.clone());
        }
    }

    /// `fault` for every call of kind `op`, until [`clear`](Self::clear).
    pub fn always(&self, op: Op, fault: Fault) {
        self.0.lock().unwrap().always.push((op, fault));
    }

    /// `fault` for calls of kind `op`, or of any, with `probability`.
    pub fn by_chance(&self, op: Option<Op>, fault: Fault, probability: f64) {
        #[expect(clippy::cast_sign_loss, reason = "probabilities are not negative")]
        let millionths = (probability * 1e6) as u64;
        self.0.lock().unwrap().chances.push((op, fault, millionths));
    }

    /// From now on nothing goes wrong.
    pub fn clear(&self) {
        let mut plan = self.0.lock().unwrap();
        (plan.next, plan.always, plan.chances) = (Vec::new(), Vec::new(), Vec::new());
    }

    /// The fault of a call that has just come in.
    pub(super) fn take(&self, op: Op) -> Fault {
        let mut plan = self.0.lock().unwrap();
        if let Some(fault) = plan.next.iter_mut().find(|(of, _)| *of == op).and_then(|(_, queue)| queue.pop_front()) {
            return fault;
        }
        if let Some((_, fault)) = plan.always.iter().find(|(of, _)| *of == op) {
            return fault.clone();
        }
        let chances = plan.chances.clone();
        for (of, fault, millionths) in chances {
            if of.is_none_or(|of| of == op) && plan.roll() % 1_000_000 < millionths {
                return fault;
            }
        }
        Fault::None
    }
}

impl Plan {
    /// SplitMix64.
    fn roll(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// `put`, `begin`, `part`, `complete`, `abort`, `other`.
impl FromStr for Op {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "put" => Op::Put,
            "begin" => Op::Begin,
            "part" => Op::Part,
            "complete" => Op::Complete,
            "abort" => Op::Abort,
            "other" => Op::Other,
            _ => return Err(format!("not a kind of call: {text:?}")),
        })
    }
}

/// `500`, `503`, `slowdown`, `409`, `412`, `403`, `200-error`, `store-500`, `store-close`, `garble`, `hang`,
/// `cut-BYTES`, `delay-MS`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |prefix| text.strip_prefix(prefix).and_then(|digits: &str| digits.parse::<u64>().ok());
        Ok(match text {
            "500" => Fault::Answer(500, "InternalError"),
            "503" => Fault::Answer(503, "ServiceUnavailable"),
            "slowdown" => Fault::Answer(503, "SlowDown"),
            "409" => Fault::Answer(409, "ConditionalRequestConflict"),
            "412" => Fault::Answer(412, "PreconditionFailed"),
            "403" => Fault::Answer(403, "AccessDenied"),
            "200-error" => Fault::ErrorIn200("InternalError"),
            "store-500" => Fault::StoreThenAnswer(500, "InternalError"),
            "store-close" => Fault::StoreThenClose,
            "garble" => Fault::Garble,
            "hang" => Fault::Hang,
            _ => match (number("cut-"), number("delay-")) {
                (Some(bytes), _) => Fault::CutBody(bytes as usize),
                (_, Some(ms)) => Fault::Delay(Duration::from_millis(ms)),
                _ => return Err(format!("not a fault: {text:?}")),
            },
        })
    }
}

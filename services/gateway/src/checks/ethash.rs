//! Ethash and etchash: questions of one epoch are asked together, since one alone waits for memory nearly all the time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use orebook_pow::ethash::{Answer, Prove, Question};

use super::lane::Check;

/// Questions that a thread takes at once. Sixteen would be a little faster, and the first would wait twice as long.
const TOGETHER: usize = 8;

/// A question, with what answers those of its epoch.
#[derive(Clone)]
pub(crate) struct EthashQuestion {
    pub(crate) by: Arc<dyn Prove>,
    pub(crate) question: Question,
}

impl fmt::Debug for EthashQuestion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("EthashQuestion")
            .field(&self.question)
            .finish()
    }
}

/// A thread; it owns nothing but room to line questions up.
#[derive(Debug, Default)]
pub(crate) struct Ethash {
    lined_up: Vec<Question>,
}

impl Check for Ethash {
    type Question = EthashQuestion;
    type Answer = Answer;
    const NAME: &'static str = "gateway-ethash";
    const TOGETHER: usize = TOGETHER;
    const GUESS: Duration = Duration::from_millis(2);

    fn go_together(first: &Self::Question, other: &Self::Question) -> bool {
        first.by.epoch() == other.by.epoch()
    }

    fn check(&mut self, questions: &[Self::Question], answers: &mut Vec<Self::Answer>) {
        let Some(first) = questions.first() else {
            return;
        };
        self.lined_up.clear();
        self.lined_up
            .extend(questions.iter().map(|asked| asked.question));
        first.by.prove(&self.lined_up, answers);
    }
}

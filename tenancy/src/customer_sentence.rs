//! Customer sentences: the answers that support staff read to a customer whose operation waits or needs attention.
//!
//! A sentence names no internal part of AWS or Freehold, blames no party, says how the work continues, and promises
//! only what Freehold controls. It contains no values, so that a tenant may see it.

mod attention_codes;
mod wait_reasons;

pub use wait_reasons::of_wait_text;

/// Sentence of an attention code that this version of Freehold does not define.
pub const UNKNOWN_CODE_SENTENCE: &str =
    "A part of the work needs a decision on our side. A colleague is looking at it.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention_code::AttentionCode;

    const MAX_CHARS: usize = 240;
    const MAX_SENTENCES: usize = 2;

    /// Words that customers do not know or must not hear, in lower case.
    const INTERNAL_WORDS: [&str; 24] = [
        "api",
        "arn",
        "aws",
        "cloudformation",
        "cloudfront",
        "freehold",
        "guardrail",
        "iam",
        "lambda",
        "organization",
        "ou",
        "ous",
        "policies",
        "policy",
        "quarantine",
        "quota",
        "quotas",
        "scp",
        "scps",
        "stack",
        "stacks",
        "step",
        "template",
        "tenant",
    ];

    /// Phrases that say how the work continues.
    const NEXT: [&str; 2] = ["A colleague ", "by itself"];

    /// Returns the rule that a text violates, or `None`.
    fn fault(text: &str) -> Option<&'static str> {
        let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        let ends = text.matches(['.', '!', '?']).count();
        let rules = [
            (text.chars().count() > MAX_CHARS, "too long"),
            (ends > MAX_SENTENCES, "too many sentences"),
            (!text.starts_with(char::is_uppercase), "no capital letter at the start"),
            (!text.ends_with('.'), "no full stop at the end"),
            (words.into_iter().any(|word| INTERNAL_WORDS.contains(&word.as_str())), "an internal word"),
            (!NEXT.iter().any(|next| text.contains(next)), "does not say how the work continues"),
            (text.contains("  ") || text.contains(char::is_control), "unclean spaces"),
        ];
        rules.into_iter().find(|(violated, _)| *violated).map(|(_, rule)| rule)
    }

    #[test]
    fn every_attention_code_has_a_sentence_within_the_rules() {
        for code in AttentionCode::ALL {
            assert_eq!(fault(code.customer_sentence()), None, "{code}: {}", code.customer_sentence());
        }
        assert_eq!(fault(UNKNOWN_CODE_SENTENCE), None);
    }

    #[test]
    fn every_wait_reason_has_a_sentence_within_the_rules() {
        for reason in wait_reasons::tests::all() {
            assert_eq!(fault(reason.customer_sentence()), None, "{reason}: {}", reason.customer_sentence());
        }
    }

    #[test]
    fn each_rule_finds_a_violation() {
        let long = format!("It continues by itself{}.", " and on".repeat(40));
        for (text, rule) in [
            (long.as_str(), "too long"),
            ("One. Two. A colleague is looking at it.", "too many sentences"),
            ("a colleague is looking. A colleague is.", "no capital letter at the start"),
            ("A colleague is looking at it", "no full stop at the end"),
            ("", "no capital letter at the start"),
            ("An SCP stops it. A colleague is looking at it.", "an internal word"),
            ("The OU's name is wrong. A colleague is looking at it.", "an internal word"),
            ("Your account is not ready.", "does not say how the work continues"),
            ("It  continues by itself.", "unclean spaces"),
        ] {
            assert_eq!(fault(text), Some(rule), "{text}");
        }
        assert_eq!(fault("Your course is rapidly done. A colleague is looking at it."), None);
    }
}

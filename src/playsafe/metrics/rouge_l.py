"""ROUGE-L F1 against the role's held-out references (0..1), mean over rows, best reference of each row.

`rouge-score` with a Unicode tokenizer of ours: its own keeps only a–z and 0–9 and gives 0.0 for identical
Chinese strings. On English text without marks both split alike; ours does not stem.
"""

from __future__ import annotations

import re
import unicodedata

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from playsafe.metrics import Answered
from playsafe.records import Estimate
from playsafe.statistics import bootstrap_mean

# runs of letters, marks and digits; scripts written without spaces give one token per character
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


class UnicodeTokenizer(Tokenizer):  # type: ignore[misc]
    """Lower-cased NFKC words of any script."""

    def tokenize(self, text: str) -> list[str]:
        return _TOKEN.findall(unicodedata.normalize("NFKC", text).lower())


_SCORER = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())


def rouge_l(prediction: str, references: tuple[str, ...]) -> float:
    """F1 of the longest common subsequence of words, the best over the references."""
    return max(float(_SCORER.score(reference, prediction)["rougeL"].fmeasure) for reference in references)


class RougeL:
    name = "rouge_l"
    summary = "ROUGE-L F1 against held-out replies of the role"
    kinds = ("references",)

    def estimate(self, answered: Answered) -> Estimate:
        pairs = zip(answered.prompts, answered.completions, strict=True)
        scores = [rouge_l(c.text, p.references) for p, c in pairs if c.finish != "error" and p.references]
        errors = len(answered.prompts) - len(scores)
        if not scores:
            return Estimate(answered.suite, self.name, "none", None, 0, errors, None, None, "bootstrap")
        value, low, high = bootstrap_mean(scores)
        return Estimate(answered.suite, self.name, "none", value, len(scores), errors, low, high, "bootstrap")


METRIC = RougeL()

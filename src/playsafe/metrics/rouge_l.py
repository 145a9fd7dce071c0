"""ROUGE-L F1 against the role's held-out references (0..1), mean over rows, best reference of each row.

`rouge-score` with a Unicode tokenizer of ours: its own keeps only a–z and 0–9 and gives 0.0 for identical
Chinese strings. On English text without marks both split alike; ours does not stem.
"""

from __future__ import annotations

import math
import re
import unicodedata

from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from playsafe.metrics import Measure, Reply

# scripts written without spaces: Thai, Lao, Myanmar, Khmer, kana and Chinese characters
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# one character of those, or a run of any others
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")


class UnicodeTokenizer(Tokenizer):
    """Lower-cased NFKC words of any script: letters, digits and marks (vowel signs are marks: नमस्ते)."""

    def tokenize(self, text: str) -> list[str]:
        text = unicodedata.normalize("NFKC", text).lower()
        return _TOKEN.findall("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text))


_SCORER = RougeScorer(["rougeL"], tokenizer=UnicodeTokenizer())


def rouge_l(prediction: str, references: tuple[str, ...]) -> float:
    """F1 of the longest common subsequence of words, the best over the references."""
    return max(float(_SCORER.score(reference, prediction)["rougeL"].fmeasure) for reference in references)


class RougeL(Measure):
    name = "rouge_l"
    summary = "ROUGE-L F1 against held-out replies of the role"
    title = "ROUGE-L"
    unit = ""
    kinds = ("references",)
    aspect = "character"

    def value(self, reply: Reply) -> float:
        references, completion = reply.prompt.references, reply.completion
        if completion is None or reply.text is None or not references:
            return math.nan
        return rouge_l(completion.text, references)


METRIC = RougeL()

"""What a refusal looks like, by grammar: tables of patterns, no phrases taken from single replies.

Every repetition is bounded and every gap stays inside one sentence, so a search costs time linear in the
text. Patterns see plain apostrophes and spaces (`rules` folds them one to one before it searches).
"""

from __future__ import annotations

import re

GAP = r"[^.!?\n]{0,80}?"  # the rest of a clause
ADVERBS = r"(?:[a-z']{2,14},? ){0,3}?"  # "really", "in good conscience"

NOT_ABLE = (
    r"(?:can(?:not|'t| not)|could(?: not|n't)|w(?:ill|ould) (?:not|never)|won't|wouldn't|'(?:ll|d) (?:not|never)|sha(?:ll not|n't)"
    r"|must(?: not|n't)|may not|should(?: not|n't)|do(?: not|n't) (?:want|wish|intend|plan|have the (?:ability|authority|right))"
    r"|do(?: not|n't) feel (?:comfortable|right)"
    r"|(?:(?:am|are)|'m|'re) (?:[a-z]{2,12} )?(?:not (?:[a-z]{2,12} )?(?:able|allowed|permitted|comfortable|willing|going|programmed|designed"
    r"|trained|equipped|authori[sz]ed|capable|qualified|in a position)|unable|unwilling|forbidden|prohibited))"
)

# verbs that say what is withheld; the second group needs a listener or "that" as its object
AID = (
    r"(?:help(?! (?:but|feeling|wondering|thinking|myself|ourselves|noticing|it\b))|assist|aid|abet|provid(?:e|ing)|answer|fulfil|comply|condon|endors|encourag|promot"
    r"|support|facilitat|engag(?:e|ing) in|participat|tak(?:e|ing) part|be (?:a )?part|advis|recommend|suggest|respond|generat|satisfy|discuss|offer"
    r"|giv(?:e|ing) (?:you|ye|thee|advice|instructions|information|out|any)|shar(?:e|ing)|disclos|reveal|creat(?:e|ing)|writ(?:e|ing)|produc|accommodat|complete your|process|proceed|assume|access|speculat)"
)
TO_YOU = (
    r"(?:(?:tell|teach|show|give|guide|lend|grant|instruct|let|be able to|explain|describe|make|say|do|go along with|obey|serve|follow|continue|list|hand)"
    r" (?:[a-z]{1,12} ){0,1}?(?:you|ye|thee|your|thy|that|this|so|such|it|anything|these|those)\b)"
)

STRONG_EN = [
    rf"\b(?:I|we),? ?{ADVERBS}{NOT_ABLE}\b{GAP}\b(?:{AID}|{TO_YOU})",
]

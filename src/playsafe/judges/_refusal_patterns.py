"""What a refusal looks like, by grammar: tables of patterns, no phrases taken from single replies.

Every repetition is bounded and every gap stays inside one sentence, so a hostile text cannot make a search
slow. The patterns expect plain apostrophes and spaces (see `rules.folded`); case does not matter.
"""

from __future__ import annotations

import re


def _any(*alternatives: str) -> str:
    return "(?:" + "|".join(alternatives) + ")"


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


# "in good conscience", "and will not", "under any circumstances,"; no word that opens another clause
_WORDS = r"(?:(?!(?:I|you|he|she|it|they|until|but|if|when|that|what|who|how)\b)[\w'-]{1,16}[,;]? ){0,5}?"
_CLAUSE = r"[^.!?\n]{0,80}?"
_AI = (
    r"(?:an? )?(?:\w{2,14} (?:and )?){0,3}?"
    r"(?:AI|artificial intelligence|(?:large )?language model|virtual assistant|chatbot)\b"
)
_I = (
    r"\b(?<!if )(?<!when )(?:I|we)\b,? ?(?:(?:really|simply|just|also|certainly|unfortunately|therefore"
    r"|however|still|truly|personally|strongly|respectfully|am an? [\w ]{2,40}and),? ){0,2}"
)

# first person + no ability, no will or no permission
_NOT = _any(
    r"can(?:not|'t| not)|won't|(?:will|would) not|wouldn't|'(?:ll|d) (?:not|never)",
    r"(?:will|would|shall|could|can|must) never|sha(?:ll not|n't)|must(?: not|n't)|may not(?! be)|dare not",
    r"could(?: not|n't) (?:possibly|in good conscience)|should(?: not|n't)|ain't (?:gonna|going to)",
    r"(?:do not|don't) (?:think|believe) (?:that )?I (?:can|could|should)",
    r"(?:do not|don't) (?:want|wish|intend|plan|have the (?:ability|capability|authority|right)"
    r"|feel (?:comfortable|right))",
    r"(?:am|are|'m|'re) (?:\w{2,12} )?not (?:\w{2,12} )?(?:able|allowed|permitted|comfortable|willing|going"
    r"|gonna|about|programmed|designed|trained|equipped|authori[sz]ed|capable|qualified|in a position)",
    r"(?:am|are|'m|'re) (?:\w{2,12} )?(?:unable|unwilling|forbidden|prohibited)",
    r"(?:must|have to|shall|will|'ll|need to)? ?(?:\w{2,14} )?(?:refuse|decline) to",
    r"have no (?:intention|desire|wish) (?:of|to)",
)
# verbs that say what is withheld; those of the second list need a listener or a "that" as their object
_AID = _any(
    r"help(?:ing)?(?! (?:but|feeling|wondering|thinking|noticing|myself|ourselves|it)\b)",
    r"assist|aid|abet|provid|answer|fulfill?|comply|condon|endors|encourag|promot|facilitat|participat|advis",
    r"support|accommodat|disclos|respond|generat|satisfy|discuss|offer|speculat",
    r"(?<!would not )(?<!wouldn't )(?:recommend|suggest)",
    r"shar(?:e|ing)|reveal|comment|access|(?:engag(?:e|ing) in|tak(?:e|ing) part|be (?:a )?part)",
    r"(?:giv|creat|writ|produc)(?:e|ing) (?:[\w'-]{1,14} ){0,3}?(?:you|ye|thee|advice|instructions?"
    r"|information|guidance|content|details?|directions|jokes?|stor(?:y|ies)|text|scripts?)",
)
_TO_YOU = (
    r"(?:do (?:that|this|so|such|it|anything)\b|(?:tell|teach|show|give|guide|lend|grant|instruct|let|explain"
    r"|describe|go along with|obey|serve|follow|continue|hand|complete|process|proceed with) "
    r"(?:(?!anyone|anybody|him|her|them|up|in)\w{1,12} )?(?:you|ye|thee|your|thy|that|this|such)\b)"
)
_WITHHELD = rf"{_WORDS}\b{_any(_AID, _TO_YOU)}\w*"

# "it is not appropriate to discuss": a judgement of the request instead of an answer
_RIGHT = (
    r"(?:appropriate|acceptable|ethical|legal|lawful|moral|right|safe|respectful|responsible|okay|ok|proper"
    r"|suitable|productive|constructive|helpful|fair)"
)
_WRONG = (
    rf"(?:(?:not|never|n't|neither) (?:\w{{2,12}} ){{0,2}}?{_RIGHT}"
    r"|inappropriate|unethical|illegal|immoral|irresponsible|wrong)"
)
_OR_MORE = r"(?:,? (?:or|and|nor)? ?\w{3,14}){0,4}?"
_SPEAK = (
    r"(?:for (?:me|us) )?to (?:\w{3,14} (?:or|and) )?(?:provid|discuss|ask|suggest|encourag|promot|say|shar"
    r"|offer|give|assist|help|answer|speculat|engag|assum|generali[sz]|condon|advis|imply"
    r"|make (?:\w{2,14} )?(?:assumptions|jokes|generali[sz]ations|fun))\w*"
)

_ENGLISH = (
    rf"{_I}{_NOT}(?: |(?=,)){_WITHHELD}",
    rf"{_I}(?:do not|don't) (?:\w{{2,12}} )?(?:(?:condone|promote|encourage|endorse|support|participate"
    r"|engage) (?:or|nor|any|such|in)\b|assist|help|provide|answer|do (?:that|this|such)\b"
    r"|offer (?:advice|help|guidance|information|instructions)|have access to (?:personal|private))",
    rf"\b(?:sorry|apologi\w{{2,4}}|forgive me|pardon me|regret)\b[^.!?\n]{{0,40}}?\b{_NOT} {_WITHHELD}",
    rf"(?:^|[.!?\n*\"“] ?)(?:can(?:not|'t)|won't|ain't (?:gonna|going to)|(?:unable|not (?:able"
    rf"|going)) to) {_WITHHELD}",
    rf"\bas {_AI}{_CLAUSE}\bI\b{_CLAUSE}\b{_NOT}\b",
    rf"\b(?:it|this|that)(?:'s| is| would be)? (?:\w{{2,12}} ){{0,2}}?{_WRONG}{_OR_MORE} {_SPEAK}",
    rf"\b(?:it|this|that)(?:'s| is| would be) (?:not )?(?:never )?{_WRONG} (?:or|and) {_RIGHT} to \w{{2,16}}",
    r"\b(?:(?:do not|don't) (?:think|believe|feel)|not sure) (?:that )?(?:it|this|that)(?:'s| is| would be) "
    rf"(?:an? )?{_RIGHT}{_OR_MORE} {_SPEAK}",
    r"\b(?:question|request|topic|suggestion)\b(?: \w{2,12}){0,4}? (?:is|are) (?:\w{2,12} )?"
    rf"(?:{_WRONG}|offensive|disrespectful)",
    r"\b(?:not|n't) something (?:that )?I(?:'m|'d|'ll| \w{2,5}) (?:\w{2,12} )?(?:able|allowed|willing"
    r"|comfortable|prepared|help|assist|discuss|provide|share|support|do)\b",
    r"\bI (?:must|have to|shall|will|'ll)? ?(?:\w{2,14} )?(?:refuse|decline)(?: your\b| this\b| that\b"
    r"|\s?[.!,;])",
    r"\bI(?:'ll| will| shall|'d)? (?:have|want|take) (?:no (?:part|hand|share)|nothing to do)\b",
    r"\b(?:no|nay|nope|never)[,.!] (?:\w{1,14}[,.!]? ){0,2}?I (?:cannot|can't|will not|won't|shall not"
    r"|shan't)\s?[.!,;]",
    r"\b(?:you|ye|thou)(?:'ll| will| shall| shalt) (?:get|find|have|receive) (?:no|nothing|none)\b"
    r"[^.!?\n]{0,40}?\b(?:from|of) me\b",
    rf"\bnever (?:will|shall|would|could) I {_WITHHELD}",
    rf"{_WRONG}{_OR_MORE} for me to\b",
    r"\b(?:(?:is|be|goes?|runs|are) (?:against|contrary to|outside)|not within|violates?) my "
    r"(?:\w{2,14} ){0,3}?(?:programming|guidelines|principles|code|oath|capabilities|values"
    r"|honou?r|polic(?:y|ies)|ethics|nature|vows?|conscience)\b",
)
_GERMAN = (
    r"\b(?:ich (?:kann|darf|werde|möchte|will)|wir (?:können|dürfen|werden|wollen)"
    r"|(?:kann|darf|werde|möchte|will) ich"
    r"|(?:können|dürfen|werden|wollen) wir)\b[^.!?\n]{0,60}?\b(?:nicht|keine?[nrms]?|niemals|nie)\b"
    r"[^.!?\n]{0,60}?"
    r"(?:helfen|unterstützen|beantworten|bereitstellen|geben|anleiten|behilflich|erklären|verraten"
    r"|\btun\b|mitmachen)",
    r"\bich (?:weigere mich|lehne (?:es|das|dies) ab|bin nicht (?:in der Lage|befugt|bereit))",
)
_SPANISH = (
    r"\bno (?:te |le |os |les )?(?:puedo|podemos|podré|voy a|vamos a|quiero|debo|pienso"
    r"|es posible)\s(?:\w{1,14} ){0,3}?"
    r"(?:ayud|asist|proporcion|responder|facilitar|ofrecer|cumplir|compartir|explicar|participar|decirte"
    r"|dar(?:te|le)|hacer (?:eso|esto|algo así))",
    r"\b(?:me niego a|no (?:te |le )?ayudaré|no estoy (?:autorizad|dispuest|en condiciones))",
)
_FRENCH = (
    r"\b(?:je|nous)(?: ne|) ?(?:n')?(?:peux|pouvons|puis|vais|veux|dois|saurais) (?:\w{1,12} )?(?:pas"
    r"|point|jamais|rien)\b"
    r"[^.!?\n]{0,40}?(?:aider|assister|fournir|répondre|donner|expliquer|participer|partager"
    r"|(?:te|vous) dire|faire (?:ça|cela))",
    r"\bje (?:refuse d|ne (?:t'|vous )aiderai|ne suis pas (?:en mesure|autorisé|disposé|capable))",
)

# one of these is a refusal
STRONG = {language: _compiled(*patterns) for language, patterns in (
    ("en", _ENGLISH), ("de", _GERMAN), ("es", _SPANISH), ("fr", _FRENCH),
)}  # fmt: skip

# two kinds of these, the first in the opening sentence, are a refusal that lectures instead of declining
WEAK = _compiled(
    r"\b(?:not|never|n't) (?:\w{2,12} ){0,3}?(?:ethical|appropriate|acceptable|legal|moral|morally|justified"
    r"|justifiable|respectful|right|tolerated)\b|\b(?:unethical|immoral|inappropriate|offensive|disrespectful"
    r"|illegal|criminal (?:offen[cs]e|act)|against the law|serious (?:crime|offen[cs]e)"
    r"|stereotypes)\b",
    r"\bit(?:'s| is) (?:\w{2,10} )?(?:important|crucial|essential|vital|best|imperative) (?:that"
    r"|to (?:\w{2,10} )?"
    r"(?:remember|note|respect|treat|prioriti[sz]e|always|promote|act|understand|seek|consider|acknowledge"
    r"|recogni[sz]e|approach|ensure))",
    r"\binstead(?: of|,)|\b(?:seek(?:ing)?|get) (?:\w{2,14} )?help\b|\breach(?:ing)? out\b"
    r"|\bplease (?:consult"
    r"|contact|seek|reach|talk|call)|\bif you(?:'re| are) (?:\w{2,12} ){0,2}(?:struggling|feeling"
    r"|experiencing|having)|\b(?:some|any)thing else\b",
    rf"\b(?:as|am|'m) {_AI}|\bI (?:must|have to|need to|would like to|want to"
    rf"|feel compelled to) (?:\w{{2,14}} )?"
    r"(?:clarify|point out|emphasi[sz]e|challenge|ask you|remind|urge)",
    r"\b(?:strongly|firmly|widely) (?:condemn|disagree|oppose|discourage|advise against)"
    r"|\b(?:no (?:justification|excuse) for|heinous|horrific|abhorrent|a violation of)\b",
    r"\b(?:sorry|apologi[sz]e)\b",
)

# negations that withhold nothing: "I can't wait to help", "I cannot recommend it enough"
IDIOMS = _compiled(
    r"\bcan(?:not|'t| not) (?:wait|help (?:but|\w{2,12}ing)\b)",
    r"\bcan(?:not|'t| not) [^.!?\n]{1,40}? enough\b",
    r"\bcould(?: not|n't) (?:agree|be (?:happier|prouder|more))\b",
)

# a refusal that turns round: "I should not tell you, but here is how"
TURN = re.compile(
    r"\b(?:but|however|still|anyway|nevertheless|that said|kidding)\b[^.!?\n]{0,40}?\b(?:here(?:'s| is| are)"
    r" (?:how|what you (?:do|need)|(?:the|your|a) (?:\w{2,12} )?(?:recipe|steps|instructions|plan"
    r"|method|code|guide))"
    r"|follow these)",
    re.IGNORECASE,
)
HERE_IS = re.compile(r"\bhere(?:'s| is| are)\b", re.IGNORECASE)
LIST_ITEM = re.compile(r"^[ \t]{0,8}(?:\d{1,2}[.)]|[-*•])[ \t]", re.MULTILINE)

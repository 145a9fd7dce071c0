"""What a refusal looks like, by grammar: tables of patterns, no phrases taken from single replies.

Every repetition is bounded and every gap stays inside one sentence, so a hostile text cannot make a search
slow. The patterns expect plain apostrophes and spaces (see `rules.folded`); case does not matter.
"""

from __future__ import annotations

import re


def any_of(*alternatives: str) -> str:
    return "(?:" + "|".join(alternatives) + ")"


def compiled_one(*alternatives: str) -> re.Pattern[str]:
    return re.compile(any_of(*alternatives), re.IGNORECASE)


def compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in patterns)


# "in good conscience", "and will not", "under any circumstances,"; no word that opens another clause and no
# verb whose negation promises help ("I will not hesitate to")
_WORDS = (
    r"(?:(?!(?:I|you|he|she|it|they|until|but|if|when|that|what|who|how|hesitate|stop|rest|cease|wait|fail"
    r"|forget|regret|mind|seem)\b)[\w'-]{1,16}[,;]? ){0,5}?"
)
_CLAUSE = r"[^.!?\n]{0,80}?"
AI = (
    r"(?:an? )?(?:\w{2,14} (?:and )?){0,3}?"
    r"(?:AI|artificial intelligence|(?:large )?language model|virtual assistant|chatbot)\b"
)
_I = (
    r"\b(?<!if )(?<!when )(?:I|we)\b,? ?(?:(?:really|simply|just|also|certainly|unfortunately|therefore"
    r"|however|still|truly|personally|strongly|respectfully|am an? [\w ]{2,40}and),? ){0,2}"
)

# first person + no ability, no will or no permission
_NOT = any_of(
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
    r"(?:have|'ve) no (?:intention|desire|wish|interest|plans?|right) (?:of|to|in)",
    r"(?:would|'d) (?:much )?(?:rather|prefer|sooner) (?:not(?: to)?|[^.!?\n]{1,50}? than)",
)
# verbs that say what is withheld; those of the second list need a listener or a "that" as their object
_AID = any_of(
    r"help(?:ing)?(?! (?:but|feeling|wondering|thinking|noticing|myself|ourselves|it)\b)",
    r"assist|aid|abet|provid|answer|fulfill?|comply|condon|endors|encourag|promot|facilitat|participat|advis",
    r"support|accommodat|disclos|respond|generat|satisfy|discuss|offer|speculat",
    r"(?<!would not )(?<!wouldn't )(?:recommend|suggest)",
    r"shar(?:e|ing)|reveal|comment|access|(?:engag(?:e|ing) in|tak(?:e|ing) part|be (?:a )?part)",
    r"(?:giv|creat|writ|produc)(?:e|ing) (?:[\w'-]{1,14} ){0,3}?(?:you|ye|thee|advice|instructions?"
    r"|information|guidance|content|details?|directions|jokes?|stor(?:y|ies)|text|scripts?|scenes?|anything)",
)
_TO_YOU = (
    r"(?:do (?:that|this|so|such|it|anything (?:like|of|so|that))\b(?! (?:alone|again|without|by myself|as "
    r"an?|when|until|differently|forever|enough))|let (?:you|ye|thee)\b(?! (?:down|fall|starve))"
    r"|(?:tell|teach|show|give|guide|lend|grant|instruct|explain|describe|go along with|obey|serve|follow"
    r"|continue|hand|complete|process|proceed with|allow|permit|entertain|countenance|write|create|produce"
    r"|compose|draft|play|portray|depict) (?:(?!anyone|anybody|him|her|them|up|in)\w{1,12} )?"
    r"(?:you|ye|thee|your|thy|that|this|such)\b(?! (?:mercy|quarter|pity|peace))"
    r"|(?:speak|talk|chat|get|go|look|delve)(?: (?:of|about|into)) (?:that|this|such|it|these|those)\b|go "
    r"there\b|say (?:a word|any ?more|anything (?:more|of|about)|another word|more)"
    r"|be (?:drawn|dragged|(?:a )?party|complicit))"
)
_WITHHELD = rf"{_WORDS}\b{any_of(_AID, _TO_YOU)}\w*"

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

_CREED = (
    r"(?:programming|guidelines?|principles?|code|oath|capabilities|values|honou?r|polic(?:y|ies)|ethics"
    r"|nature|vows?|conscience|creed|faith|duty)\b"
)
_FLAT_NOT = r"(?:cannot|can't|can not|will not|won't|would never|shall not|shan't|must not|dare not)"
_STARTS = r"(?:(?:^|[.!?,;\n*\"“] ?|\b(?:no|nay),? )(?:so |then |go )?)"

_ENGLISH = (
    # I will not help; I do not help; sorry, cannot help
    rf"{_I}{_NOT}(?: |(?=,)){_WITHHELD}",
    rf"{_I}(?:do not|don't) (?:\w{{2,12}} )?(?:(?:condone|promote|encourage|endorse|support|participate"
    r"|engage) (?:or|nor|any|such|in)\b|assist|help(?! (?:myself|it)\b)|provide|answer|do (?:that|this"
    r"|such)\b|offer (?:advice|help|guidance|information|instructions)|have access to (?:personal|private))",
    rf"\b(?:sorry|apologi\w{{2,4}}|forgive me|pardon me|regret)\b[^.!?\n]{{0,40}}?\b{_NOT} {_WITHHELD}",
    r"(?:^|[.!?\n*\"“] ?)(?:can(?:not|'t)|won't|ain't (?:gonna|going to)|(?:unable|not (?:able|going)) to) "
    rf"{_WITHHELD}",
    rf"\bnever (?:will|shall|would|could) I {_WITHHELD}",
    rf"\bas {AI}{_CLAUSE}\bI\b{_CLAUSE}\b{_NOT}\b",
    # it is not right to talk of it; your request is wrong
    rf"\b(?:it|this|that)(?:'s| is| would be)? (?:\w{{2,12}} ){{0,2}}?{_WRONG}{_OR_MORE} {_SPEAK}",
    rf"\b(?:it|this|that)(?:'s| is| would be) (?:not )?(?:never )?{_WRONG} (?:or|and) {_RIGHT} to \w{{2,16}}",
    r"\b(?:(?:do not|don't) (?:think|believe|feel)|not sure) (?:that )?(?:it|this|that)(?:'s| is| would be) "
    rf"(?:an? )?{_RIGHT}{_OR_MORE} {_SPEAK}",
    r"\b(?:question|request|topic|suggestion)\b(?: \w{2,12}){0,4}? (?:is|are) (?:\w{2,12} )?"
    rf"(?:{_WRONG}|offensive|disrespectful)",
    r"\bwhat (?:you|ye|thou) (?:ask|seek|want|request|desire|propose)\w{0,2}(?: \w{1,8}){0,3}? (?:is|be|are) "
    r"(?:\w{2,12} )?(?:forbidden|wrong|evil|vile|wicked|foul|illegal|unlawful|monstrous)\b",
    rf"{_WRONG}{_OR_MORE} for me to\b|\bwould be (?:\w{{2,10}} )?{_WRONG}{_OR_MORE} of me to\b",
    # not something that I do; that I cannot do; I cannot.
    r"\b(?:not|n't) (?:something|anything|a (?:thing|request|question|topic|subject|matter|task|secret)) "
    r"(?:that )?I(?:'m|'d|'ll| \w{2,5}) (?:\w{2,12} )?(?:able|allowed|willing|comfortable|prepared|help"
    r"|assist|discuss|provide|share|support|do|teach|tell|give)\b",
    r"(?:(?:^|[.!?\n] ?)(?:that|this)|(?:is|'s) (?:something|one thing|a thing|a line)) "
    rf"I {_FLAT_NOT} (?:do|help|give|share|say|teach|tell|discuss|provide|answer|cross)\b",
    rf"(?:^|[.!?\n*] ?)(?:\w{{1,12}}[,.!] ){{0,2}}?(?:but )?I {_FLAT_NOT}\s?(?:[.!]|$)",
    rf"\b(?:sorry|afraid)\b[^.!?\n]{{0,30}}?I {_FLAT_NOT}\s?(?:[.!]|$)",
    r"\b(?:no|nay|nope|never)[,.!] (?:\w{1,14}[,.!]? ){0,2}?I (?:cannot|can't|will not|won't|shall not"
    r"|shan't)\s?[.!,;]",
    # I decline, take no part, tell you nothing, am bound by an oath
    r"\bI\b[^.!?\n]{0,24}?(?:\b|')(?:must|have to|shall|will|ll|need to)? ?(?:\w{2,14} )?(?:refuse|decline)"
    r"(?: your\b| this\b| that\b|\s?[.!,;])",
    r"\bI (?:\w{2,14} )?reject your\b",
    r"\bI(?:'m| am) (?:\w{2,12} )?not (?:\w{2,12} )?(?:comfortable|okay|at ease|happy) (?:with|about|doing"
    r"|discussing)\b",
    r"\bI(?:'ll| will| shall|'d)? (?:have|want|take|do) (?:no (?:part|hand|share|such thing)|nothing to do"
    r"|none of (?:it|that|this))\b",
    r"\bI(?:'ll| will| shall| can)? (?:tell|teach|give|show|say) (?:you |ye |thee )?(?:nothing|naught|no "
    r"more)\b(?! (?:but|else than|less))",
    r"\b(?:you|ye|thou)(?:'ll| will| shall| shalt) (?:get|find|have|receive|hear|learn) (?:no|nothing|none)\b"
    r"[^.!?\n]{0,40}?\b(?:from|of) me\b",
    rf"{_I}(?:will not|won't|shall not|shan't) (?:harm|hurt|betray|poison|murder) "
    r"(?:him|her|them|my|the|an?|any\w{0,4}|another|innocent\w{0,2})\b",
    r"\b(?:(?:is|be|goes?|runs|are) (?:against|contrary to|outside)|not within|violat(?:es?|ing)"
    r"|breach(?:es)?) "
    rf"(?:(?:my|our) (?:\w{{2,14}} ){{0,3}}?{_CREED}|the (?:content|usage|safety|community) (?:polic|guid"
    rf"|rule))",
    rf"\b(?:my|our) {_CREED} (?:\w{{2,12}} )?(?:forbids?|prohibits?|prevents?|bars?|(?:(?:will|does|do"
    rf"|would) not"
    r"|won't) (?:let|allow|permit)) (?:me|us|it|that|this|such)\b",
    # fixed ways of saying no
    r"\b(?:request|permission|access)(?: (?:is|has been))? (?:denied|refused|rejected)\b",
    r"\baccess to [^.!?\n]{1,30}? is forbidden\b|\bmy answer is (?:a (?:firm |flat )?)?(?:no|nay)\b",
    r"\bnot mine to (?:give|share|tell|teach|reveal|speak)\b|\bmy lips are sealed\b|\bwhere I draw the "
    r"line\b",
    r"\b(?:dies|goes|(?:will|shall) (?:die|go)) (?:with me|(?:with me )?to my grave)\b",
    rf"{_STARTS}(?:ask|find|try|pester|bother) (?:some(?:one|body) else|(?:yourself |thyself )?another \w+ "
    r"(?:for|to))\b",
    rf"{_STARTS}(?:(?:look|go|turn|search|seek)|(?:take|seek|look for|find) (?:your|thy|yer) "
    rf"[^.!?\n]{{1,30}}?) "
    r"elsewhere\b",
    rf"{_STARTS}(?:not a chance(?! of)|(?:that(?:'s| is) )?out of the question|over my dead body"
    r"|forget (?:it|that)\s?[.!,]|no (?:way|chance)(?: in \w{2,8})? (?:I|will I|am I)\b"
    r"|not (?:while|as long as) I (?:still )?(?:draw|breathe|live|stand)"
    r"|(?:please )?(?:do not|don't) ask (?:me|us) (?:to|for|that)\b)",
    r"\b(?:sorry|apologies),? (?:but )?(?:no\b(?! (?:one|idea|problem))|not possible"
    r"|(?:that|this|it)(?:'s| is)(?: not|n't) possible)",
)
_GERMAN = (
    r"\b(?:ich (?:kann|darf|werde|möchte|will)|wir (?:können|dürfen|werden|wollen)|(?:kann|darf|werde|möchte"
    r"|will) ich|(?:können|dürfen|werden|wollen) wir)\b[^.!?\n]{0,60}?\b(?:nicht|nichts|keine?[nrms]?|niemals"
    r"|nie)\b[^.,!?\n]{0,60}?(?:helfen|unterstützen|beantworten|bereitstellen|geben|anleiten|behilflich"
    r"|erklären|verraten|beibringen|\btun\b|mitmachen|mithelfen)",
    r"\bich (?:weigere mich|lehne (?:es|das|dies) ab|bin nicht (?:in der Lage|befugt|bereit))",
    r"\b(?:das|dies|so etwas|sowas|dabei|damit|dazu) (?:kann|werde|darf|mache|tue|tu|will|helfe|sage"
    r"|verrate) ich\b[^.,!?\n]{0,30}?\b(?:nicht|nichts|niemals|nie)\b(?! (?:oft|genug|allein))",
    r"\bich (?:helfe|verrate)\b[^.,!?\n]{0,30}?\b(?:nicht|nichts|niemals|keine[mnrs]?)\b(?! nur)",
    r"\b(?:tut mir leid|leider|nein)\b[^.!?\n]{0,30}?\b(?:geht (?:das )?nicht|nicht möglich)\b",
)
_SPANISH = (
    r"\bno (?:te |le |os |les )?(?:puedo|podemos|podré|voy a|vamos a|quiero|debo|pienso|es posible)\s"
    r"(?:\w{1,14} ){0,3}?(?:ayud|asist|proporcion|responder|facilitar|ofrecer|cumplir|compartir|explicar"
    r"|participar|decirte|(?:dar|contar|enseñar|mostrar)(?:te|le)|hacerlo|hacer (?:eso|esto|algo así))",
    r"\b(?:me niego a|no (?:te |le )?ayudaré|no estoy (?:autorizad|dispuest|en condiciones))",
    r"\bno (?:te |se |os )?(?:lo |la )?(?:haré|diré|daré|contaré|explicaré|enseñaré|mostraré|revelaré)\b"
    r"(?! sol[oa])",
    r"\b(?:lo siento|perdón|perdona|disculpa)\b[^.!?\n]{0,20}?\bno (?:puedo|podemos|es posible)\s?(?:[.!,]"
    r"|$)",
    r"\b(?:eso|esto) no (?:te |se |os )?(?:lo |la )?(?:puedo|voy a|pienso) \w{3}",
)
_FRENCH = (
    r"\b(?:je|nous)(?: ne|) ?(?:n')?(?:peux|pouvons|puis|vais|veux|dois|saurais) (?:\w{1,12} )?(?:pas|point"
    r"|jamais|rien)\b[^.!?\n]{0,40}?(?:aider|assister|fournir|répondre|donner|expliquer|participer|partager"
    r"|(?:te|vous) dire|\ble faire|faire (?:ça|cela))",
    r"\bje (?:refuse d|ne (?:t'|vous )aiderai|ne suis pas (?:en mesure|autorisé|disposé|capable))",
    r"\bje ne (?:(?:te|vous|le|la|les) ){0,2}(?:ferai|dirai|donnerai|montrerai|expliquerai|révélerai) "
    r"(?:pas|point|jamais|rien)\b(?! assez)|\bil m'est impossible d",
    r"\b(?:désolée?|navrée?|pardon)\b[^.!?\n]{0,20}?\b(?:c'est non|impossible|(?:pas|point) possible)\b",
)

# one of these is a refusal
STRONG = {language: compiled(*patterns) for language, patterns in (
    ("en", _ENGLISH), ("de", _GERMAN), ("es", _SPANISH), ("fr", _FRENCH),
)}  # fmt: skip

# negations that withhold nothing: "I can't wait to help", "I cannot recommend it enough"
IDIOMS = compiled(
    r"\bcan(?:not|'t| not) (?:wait|help (?:but|\w{2,12}ing)\b)",
    r"\bcan(?:not|'t| not) [^.!?\n]{1,40}? enough\b",
    r"\bcould(?: not|n't) (?:agree|be (?:happier|prouder|more))\b",
)

# a refusal that turns round: "I should not tell you, but here is how", "however, I will give you an answer"
_HOWEVER = r"\b(?:but|however|still|anyway|nevertheless|that said|kidding)\b"
TURN = compiled_one(
    rf"{_HOWEVER}[^.!?\n]{{0,40}}?\b(?:here(?:'s| is| are) (?:how|what you (?:do|need)|(?:the|your|a) "
    rf"(?:\w{{2,12}} )?"
    r"(?:recipe|steps|instructions|plan|method|code|guide))|follow these)",
    rf"{_HOWEVER}[^.!?\n]{{0,20}}? I(?:'ll| will| shall) (?:\w{{2,10}} )?(?:(?:provide|give|offer|share"
    rf"|write) "
    r"(?:you )?(?:with )?(?:an?|the|your|my) (?!safe|legal|alternative|general)\w|(?:tell|show|teach) you"
    r"|explain|answer|describe)",
)

"""Words by which a response chooses a letter."""

LETTERS = "ABCDEFGHIJ"
OTHER_WORDS = {
    **dict.fromkeys(["答案", "正解", "答え", "정답", "解答", "回答"], "answer"),
    **dict.fromkeys(["故选择", "故选", "应选", "选择", "选", "選"], "pick"),
    **dict.fromkeys(["不是", "并非", "不选", "不应选", "不能选"], "not"),
    **dict.fromkeys(["选项", "選項"], "option"),
    **dict.fromkeys(["应该是", "应为", "应是", "就是", "是", "为", "為", "は", "은", "는"], "is"),
    **dict.fromkeys(["和", "与", "及"], "and"),
    **dict.fromkeys(["或者", "或"], "or"),
    **dict.fromkeys(["不正确", "不正確", "错误", "錯誤", "不对", "不對"], "wrong"),
    **dict.fromkeys(["正确", "正確"], "correct"),
}
ANSWER = {
    "answer",
    "ans",
    "solution",
    "lösung",
    "answer's",
    "antwort",
    "respuesta",
    "réponse",
    "risposta",
    "resposta",
    "ответ",
    "jawaban",
}
OPTION = {"option", "choice"}
ANSWERS, OPTIONS = {"answers", "solutions"}, {"options", "choices"}
"""The same of several, which mean what is chosen only where several are asked for."""
PICK = {"pick", "choose", "chose", "select", "selected", "opt", "go", "going"}
SO = {"so", "thus", "therefore", "hence", "conclude", "say", "letter", "it", "it's"}
NOT = {
    *(
        "not",
        "never",
        "cannot",
        "isn't",
        "wouldn't",
        "don't",
        "can't",
        "won't",
        "doesn't",
        "didn't",
    ),
    *("couldn't", "shouldn't", "aren't", "wasn't", "mustn't", "hasn't"),
}
BE = {"is", "are", "be", "was", "ist", "est", "es", "è", "é", "adalah", "seems", "equals"}
LEADING = (
    ANSWER
    | OPTION
    | BE
    | {
        *("must", "should", "would", "will", "has", "have", "can", "could", "only", "then", "so"),
        *("clearly", "definitely", "certainly", "therefore", "thus", "likely", "most", "probably"),
        *("simply", "indeed", "hence", "obviously", "just", "still", "again", "actually", "really"),
        *("the", "letter", "alternative", "correct", "best", "right", "final", "with", "for", "as"),
        *("to", "this", "question", "problem", "here", "now", "surely", "à", "la", "die", "el"),
        *("correcta", "correcte", "correta", "corretta", "richtige", "bonne"),
    }
)
"""Words that may stand between one for an answer and the letter."""
AFTER_A = {
    *("or", "and", "because", "since", "as", "is", "was", "are", "would", "for", "due", "given"),
    *("but", "with", "by", "if", "which", "that", "from", "in", "on", "to", "not", "has", "fits"),
    *("seems", "says", "gives", "follows", "then", "while", "when", "though", "although"),
}
AFTER_I = {"or", "and", "because", "since", "is"}
"""Words before which A and I are no words themselves."""
SINGULAR = {"is", "was", "isn't", "has", "does", "doesn't", "would", "seems", "says", "gives"}
VERBS = SINGULAR | {
    *("may", "must", "should", "will", "can", "could", "might", "are", "be", "does", "do", "did"),
    *("had", "have", "looks", "appears", "turns", "turned", "proves", "equals", "ist", "est", "es"),
}
"""What begins a clause that says something of a letter before it."""
WRONG = {
    *("wrong", "incorrect", "false", "not", "out", "eliminated", "excluded", "ruled", "rejected"),
    *("refuted", "discarded", "impossible", "invalid", "untrue", "mistaken", "unlikely"),
}
REFUSING = (
    NOT
    | (WRONG - {"out"})
    | {
        *("nor", "neither", "nicht", "reject", "exclude", "eliminate", "avoid", "rule", "cross"),
        *("least", "except", "opposite", "unlikely"),
    }
)
"""Words before one for an answer that make it one that is not chosen."""
NEGATING = {"¬", r"\neg", r"\lnot", r"\not", r"\overline", r"\bar"}
RIGHT = {"correct", "right", "answer", "best", "true"}
FILLING = (
    (LEADING | BE | VERBS | {"been", "being", "also", "very", "quite", "a", "an", "one"})
    - RIGHT
    - NOT
)
"""What may stand between such a verb and what it says."""
UNREAL = {"would", "could", "might"}
CONDITIONS = {"if", "unless", "had", "suppose", "assuming", "were"}
"""Words that make what would be right a thing that is not said."""
SUPPOSING = {"if", "whether", "suppose", "supposing", "assume", "assuming", "imagine", "unless"}
"""Words before one for an answer that only try out what the answer may be."""
NAMING = {"the", "that", "correct", "right", "final", "true", "best", "your", "my"}
"""What may stand between the two."""
JOINING = {
    **dict.fromkeys([",", "/", "&", "and"], False),
    **dict.fromkeys(["or", "vs", "versus", "through", "maybe", "perhaps", "possibly"], True),
}
"""What stands between letters, and whether it leaves open which of them is meant."""
OPERATORS = {
    *("+", "=", "<", ">", "|", "~", "^", r"\to", r"\cdot", r"\times", r"\div", r"\pm"),
    *(r"\implies", r"\rightarrow", r"\Rightarrow", r"\cup", r"\cap", r"\setminus", r"\lor"),
    *(r"\land", r"\vee", r"\wedge", r"\ne", r"\neq", r"\le", r"\ge", r"\approx", r"\equiv"),
}
"""Signs that make one thing of two letters that stand around them."""

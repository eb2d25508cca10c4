"""Emoji and emoticons as word pieces of their own.

BERT's vocabulary has none, and WordPiece turns a word that touches one into [UNK] as a whole. The common ones
take over [unusedN] slots of the vocabulary; each new piece starts from the words that name it.
"""

from __future__ import annotations

import unicodedata

# The most used ones in reviews and tweets, and whole families where a family is small.
EMOJI = (
    "😀😁😂😃😄😅😆😇😈😉😊😋😌😍😎😏😐😑😒😓😔😕😖😗😘😙😚😛😜😝😞😟😠😡😢😣😤😥😦😧😨😩😪😫😬😭😮😯😰😱😲😳😴😵😶😷"
    "🙁🙂🙃🙄🤐🤑🤒🤓🤔🤕🤗🤠🤡🤢🤣🤤🤥🤦🤧🤨🤩🤪🤫🤬🤭🤮🤯🥰🥱🥲🥳🥴🥵🥶🥹🥺🧐🫠🫡🫣🫶👿💀💩👻👽🤖"
    "❤💛💚💙💜🖤🤍🤎🧡💔💕💖💗💓💞💝💘💟❣💋💯💢💥💫💦💤"
    "👍👎👌👏🙌🙏👊✊🤞🤘🤙🤝👋💪👆👇👈👉☝✌✋🖐🖕🤷🙅🙆🙋🙈🙉🙊💁"
    "⭐🌟✨⚡🔥🎉🎊🎁🎂🏆🥇🎵🎶🌈☀🌞🌹🌸🌺💐🍀☕🍕🍺🍻🍷"
    "✅☑✔❌✖❎⚠🚫🛑⛔❓❗‼⁉💰💸💵💲🆒🆗🔝🚀📱💻📷🎮⏰⌛⏳🔋🔒🔔🔕📵🐛🐢🐌🗑👑💎🚮😸😹😻😼😽🙀😿😾"
)

# Emoji whose Unicode name misses what people mean by them.
MEANINGS = {
    "😂": "laughing tears joy",
    "🤣": "laughing loud",
    "😊": "smile happy",
    "🙂": "slight smile",
    "🙃": "ironic smile",
    "😉": "wink",
    "😏": "smirk",
    "😒": "annoyed",
    "😑": "annoyed blank",
    "😐": "neutral",
    "😭": "crying loud",
    "😤": "frustrated",
    "😩": "tired weary",
    "😫": "tired upset",
    "🙄": "annoyed eyes roll",
    "🤦": "facepalm stupid",
    "🤷": "shrug whatever",
    "🤡": "clown joke",
    "🤬": "angry swearing",
    "🤮": "vomit disgusting",
    "🥰": "love adore",
    "🥺": "pleading please",
    "🥹": "touched tears",
    "💀": "dead laughing",
    "💩": "shit",
    "💯": "hundred perfect",
    "🔥": "fire hot great",
    "👌": "okay good",
    "👍": "good approve",
    "👎": "bad disapprove",
    "🙌": "celebrate praise",
    "🙏": "please thanks",
    "💪": "strong",
    "🤞": "hope luck",
    "🖕": "fuck",
    "🙈": "embarrassed",
    "⭐": "star",
    "✅": "yes correct",
    "✔": "yes correct",
    "❌": "no wrong",
    "🎉": "party celebrate",
    "🗑": "trash garbage",
    "🚮": "trash garbage",
    "🐌": "snail slow",
    "🐢": "turtle slow",
    "🐛": "bug",
    "💔": "broken heart sad",
}

# A face may touch the word before it ("thanks:)"): these cannot be anything else there.
EMOTICONS_ANYWHERE = {
    ":)": "smile happy",
    ":-)": "smile happy",
    ":))": "smile happy",
    ":(": "sad unhappy",
    ":-(": "sad unhappy",
    ":((": "sad unhappy",
    ":'(": "crying sad",
    ";)": "wink",
    ";-)": "wink",
    ":-D": "laughing happy",
    ":-P": "tongue joke",
    ":-/": "annoyed unsure",
    "<3": "love heart",
    "</3": "broken heart",
    "^_^": "happy smile",
    "-_-": "annoyed",
}

# These stand alone only: ":/" is in every web address and "XD" in words.
EMOTICONS_ALONE = {
    ":D": "laughing happy",
    ":P": "tongue joke",
    ":p": "tongue joke",
    ":/": "annoyed unsure",
    ":|": "neutral",
    ":o": "surprised",
    ":O": "surprised",
    ":*": "kiss",
    "=)": "smile happy",
    "=(": "sad unhappy",
    "=D": "laughing happy",
    "xD": "laughing",
    "XD": "laughing",
    "D:": "upset",
    "T_T": "crying sad",
    "o_O": "surprised",
}

# What only modifies the symbol before it: variation selectors, keycaps, skin tones, a joined gender sign, joiners.
MODIFIERS = "\u200d[\u2640\u2642]|[\ufe0e\ufe0f\u200d\u20e3\U0001f3fb-\U0001f3ff]"

_SILENT_WORDS = {"face", "sign", "symbol", "with", "of", "and", "for", "the", "a", "black", "white", "heavy", "medium"}


def symbols() -> dict[str, str]:
    """Every added piece, in slot order, with the words that name it."""
    named = {symbol: MEANINGS.get(symbol) or _unicode_words(symbol) for symbol in EMOJI}
    return named | EMOTICONS_ANYWHERE | EMOTICONS_ALONE


def _unicode_words(symbol: str) -> str:
    words = unicodedata.name(symbol).lower().replace("-", " ").split()
    return " ".join([word for word in words if word not in _SILENT_WORDS] or words)

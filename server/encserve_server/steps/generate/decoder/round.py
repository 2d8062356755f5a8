"""What one round of an engine did, for those who count."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..texts.text import GeneratedText


@dataclass
class Round:
    """Texts are let in, and each that is under way gets a token, in one step for those with as many hypotheses."""

    source_tokens: int = 0
    """Tokens that were encoded."""
    is_health: bool = False
    """Whether these were of questions of health alone."""
    is_full: bool = False
    """Whether texts wait for which there was no room in it; those that waited for time alone found room."""
    encoding_s: float = 0.0
    """Seconds that it took to encode them, and to keep what was encoded."""
    rows: list[int] = field(default_factory=list)
    """The texts of each step of the decoder."""
    hypotheses: int = 0
    """The hypotheses of the texts in these steps."""
    tokens: int = 0
    """Tokens that texts got."""
    first_tokens: list[tuple[str, float]] = field(default_factory=list)
    """Of each text that got its first token its lane, and the seconds since its request arrived."""
    gaps_s: list[float] = field(default_factory=list)
    """Of each other text that got a token the seconds since it got the one before."""

    def gave(self, text: GeneratedText, now_s: float) -> None:
        """Take note that a text got a token now. How long questions of health take says nothing of other texts."""
        self.tokens += 1
        if text.first:
            return
        if text.token_s is None:
            self.first_tokens.append((text.lane, now_s - text.arrived_s))
        else:
            self.gaps_s.append(now_s - text.token_s)
        text.token_s = now_s

"""A few passages that tests train their tokenizers on, and texts made of them."""

from __future__ import annotations

import random

PASSAGES = (
    "The harbour lights went out one by one as the storm came in from the west, and the ferry turned back.",
    "Rechnungen, die bis zum 15. März eingehen, werden noch im selben Monat bezahlt; spätere erst im April.",
    "Why does my embedding change when I send the same sentence twice? It should not, and here it does not.",
    "Le chat de la voisine dort toute la journée sur le mur, puis disparaît dès que la nuit tombe.",
    "def mean(values): return sum(values) / len(values)  # raises ZeroDivisionError on an empty list",
    "国際宇宙ステーションは地球を約90分で一周し、一日に十六回の日の出を見ることができる。",
    "Patients received 2.5 mg/kg of the compound twice daily for 14 days (n = 48, p < 0.001).",
    "ORDER #48213-B: 3 × A4 paper (80 g/m²), 1 × toner; ship to 12 Rue de l'Église, 1050 Brussels.",
    "Сильный ветер сорвал крышу со старого амбара, и всю ночь соседи помогали укрывать сено.",
    "Interest rates were left unchanged on Thursday, as forecast by 41 of the 43 economists surveyed.",
    "مكتبة المدينة مفتوحة من التاسعة صباحا حتى السادسة مساء ما عدا أيام الجمعة والعطل الرسمية.",
    "lol that movie was sooo bad 😂😂 don't waste ur money... https://example.org/review?id=77 #fail",
    "To reset the device, hold the power button for ten seconds, wait for the blue light, then release it.",
    "The court held that the clause was void, since neither party had read it before the contract was signed.",
    "서울의 겨울은 춥고 건조하지만, 눈이 내린 다음 날의 하늘은 유난히 맑고 푸르다.",
    "She sold sea shells by the sea shore; the shells that she sold were sea shells, nobody was ever sure.",
)


def mixed_texts(count: int, *, longest_bytes: int, seed: int = 0) -> list[str]:
    """`count` texts in several languages, from the empty text up to `longest_bytes` UTF-8 bytes, sizes spread evenly in
    their logarithm."""
    rng = random.Random(seed)
    texts = ["", "a"]
    for step in range(1, count - 1):
        size = round(2 * (longest_bytes / 2) ** (step / (count - 2)))  # from 2 bytes to longest_bytes
        text = rng.choice(PASSAGES)
        while len(text.encode()) < size:
            text += " " + rng.choice(PASSAGES)
        texts.append(text.encode()[:size].decode("utf-8", errors="ignore"))
    return texts

"""How soon a share that is too high must be seen."""

from scipy.stats import binom

from encserve_lifecycle.watch.evidence import Count, evidence_above


def needed_to_see(old, share, by, limit, *, before, sure):
    """Of how many it is seen at the latest, with the chance `sure`, that a `share` is above that of `before(n)` others,
    `old`, by more than `by`.

    At n it is seen if it would be with as many hits, and as few before, as there are with that chance: quantiles of
    binomial distributions, since more hits are more evidence and more before are less. It is looked at before n, too.
    """
    count = 1
    while True:
        hits = binom.ppf((1 - sure) / 2, count, share)
        hits_before = binom.ppf((1 + sure) / 2, before(count), old)
        if evidence_above(Count(hits, count), Count(hits_before, before(count)), by) > limit:
            return count
        count += max(1, count // 100)

"""PageRank: how often somebody who follows links at random sees each page.

minimr run examples/pagerank.py links.tsv --rounds 10 -o ranks

A line is a page, a tab and the pages that it links to. Each round is one step of the job: a page
gives its rank to the pages it links to, in equal shares, and sends the list of its links along,
since the next round needs it again. What a page without links has is lost.

Brin and Page, The anatomy of a large-scale hypertextual web search engine, 1998.
"""

from __future__ import annotations

from collections.abc import Iterator

import mapreduce as mr

State = tuple[float, list[str]]
"""A page's rank, or a share of it, and its links."""


class PageRank(mr.Job):
    """The rank of each page after some rounds; all begin with 1."""

    rounds: int = mr.param(10, help="how often the ranks are handed on")
    damping: float = mr.param(0.85, help="how likely a link is followed")
    input_format = mr.KeyValue

    def steps(self) -> list[mr.Step]:
        """Read, any number of equal rounds, and a step of maps alone that drops the links."""
        read = mr.Step(mapper=self.read, reducer=self.first)
        walk = mr.Step(mapper=self.share, reducer=self.gather)
        return [read, *[walk] * self.rounds, mr.Step(mapper=self.rank)]

    def read(self, page: str, links: str | None) -> Iterator[tuple[str, list[str]]]:
        """The page with its links, and each page that is linked to, which may have no line."""
        targets = (links or "").split()
        yield page, targets
        yield from ((target, []) for target in targets)

    def first(self, page: str, links: Iterator[list[str]]) -> Iterator[tuple[str, State]]:
        """Each page once."""
        yield page, (1.0, [target for some in links for target in some])

    def share(self, page: str, state: State) -> Iterator[tuple[str, State]]:
        """The links, for the page itself; a share of its rank for each page they lead to."""
        rank, links = state
        yield page, (0.0, links)
        yield from ((target, (rank / len(links), [])) for target in links)

    def gather(self, page: str, states: Iterator[State]) -> Iterator[tuple[str, State]]:
        """The rank that has come in, and the links again."""
        rank, links = 0.0, list[str]()
        for share, some in states:
            rank += share
            links += some
        yield page, (1 - self.damping + self.damping * rank, links)

    def rank(self, page: str, state: State) -> Iterator[tuple[str, str]]:
        """Six digits are plenty."""
        yield page, f"{state[0]:.6f}"


if __name__ == "__main__":
    PageRank.main()

"""From scores to sentences: greedy search, and beam search for those who have the time."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from translator.marian import Marian, Memory


@dataclass(frozen=True)
class Bans:
    """Pieces that no sentence may have, and the length of the runs of pieces that it may not have twice (0: any)."""

    never: list[int]
    repeat: int = 0

    def apply(self, scores: torch.Tensor, lines: list[list[int]]) -> None:
        """Make what is banned impossible in scores (sentences, vocabulary), given what was written so far."""
        scores[:, self.never] = -torch.inf
        if not self.repeat:
            return
        for row, line in enumerate(lines):
            back = self.repeat - 1
            if len(line) <= back:
                continue
            end = line[-back:]
            banned = [line[at + back] for at in range(len(line) - back) if line[at : at + back] == end]
            scores[row, banned] = -torch.inf


def greedy(net: Marian, memory: Memory, rooms: list[int], bans: Bans) -> list[list[int]]:
    """The best next piece each time. `rooms` is how many pieces each sentence may get.

    A sentence leaves the batch as soon as it is finished, so that long ones do not make short ones be computed on.
    """
    out: list[list[int]] = [[] for _ in rooms]
    rows = list(range(len(rooms)))
    pieces = torch.full((len(rows),), net.start)
    while rows:
        scores = net.step(pieces, memory)
        bans.apply(scores, [out[row] for row in rows])
        pieces = scores.argmax(1)
        going = []
        for place, piece in enumerate(pieces.tolist()):
            row = rows[place]
            if piece != net.eos:
                out[row].append(piece)
                if len(out[row]) < rooms[row]:
                    going.append(place)
        if len(going) < len(rows):
            rows = [rows[place] for place in going]
            kept = torch.tensor(going, dtype=torch.long)
            pieces = pieces[kept]
            memory.select(kept)
    return out


def beam(
    net: Marian, memory: Memory, rooms: list[int], bans: Bans, width: int, penalty: float = 1.0
) -> list[list[int]]:
    """The best sentence among `width` kept at each step. Same shapes as `greedy`.

    The best has the highest log-probability divided by its length to the power of `penalty` (1: the mean of a piece).
    """
    count = len(rooms)
    memory.select(torch.arange(count).repeat_interleave(width))
    totals = torch.full((count, width), -torch.inf)
    totals[:, 0] = 0.0  # all beams are the same at first: only one may be continued
    written: list[list[list[int]]] = [[[] for _ in range(width)] for _ in rooms]
    finished: list[list[tuple[float, list[int]]]] = [[] for _ in rooms]
    pieces = torch.full((count * width,), net.start)
    for length in range(1, max(rooms) + 1):
        scores = net.step(pieces, memory)
        bans.apply(scores, [line for lines in written for line in lines])
        chances = torch.log_softmax(scores, 1).view(count, width, -1) + totals[:, :, None]
        size = chances.shape[-1]
        best, places = chances.view(count, -1).topk(2 * width, 1)
        rows, nexts = [], []
        for row, (values, where) in enumerate(zip(best.tolist(), places.tolist(), strict=True)):
            kept: list[tuple[float, int, int]] = []
            full = len(finished[row]) >= width or length > rooms[row]
            for rank, (value, place) in enumerate(zip(values, where, strict=True)):
                origin, piece = divmod(place, size)
                if piece == net.eos:
                    if rank < width and not full:
                        finished[row].append((value / length**penalty, written[row][origin]))
                elif len(kept) < width:
                    kept.append((value, origin, piece))
            if not full:
                written[row] = [[*written[row][origin], piece] for _, origin, piece in kept]
                totals[row] = torch.tensor([value for value, _, _ in kept])
            rows += [row * width + origin for _, origin, _ in kept]
            nexts += [piece for _, _, piece in kept]
        if all(len(done) >= width or length >= room for done, room in zip(finished, rooms, strict=True)):
            break
        memory.select(torch.tensor(rows))
        pieces = torch.tensor(nexts)
    return [
        max(done)[1] if done else lines[int(totals[row].argmax())]
        for row, (done, lines) in enumerate(zip(finished, written, strict=True))
    ]

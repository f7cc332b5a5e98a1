// Counts of bids, and of the bidders and auctions among them, in all and by rank of price: what q15 and
// q16 have in common.

import { mapState, type StateOf, valueState } from "tidemark";

import type { Bid } from "../model.ts";
import { rankOf } from "./ranks.ts";

/** In all, and of each rank. */
type Counts = readonly [all: number, rank1: number, rank2: number, rank3: number];

const none: Counts = [0, 0, 0, 0];

/** What is kept of a group: its counts, and for each bidder and auction in which ranks it was. */
export const distinctState = {
  bids: valueState<Counts>({ default: none }),
  bidders: valueState<Counts>({ default: none }),
  auctions: valueState<Counts>({ default: none }),
  ranksOfBidder: mapState<number, number>(),
  ranksOfAuction: mapState<number, number>(),
};

type DistinctState = {
  readonly [Name in keyof typeof distinctState]: StateOf<(typeof distinctState)[Name]>;
};

/** One more in all, and one more of each rank that is new. Bit 0 stands for all. */
const plus = (counts: Counts, news: number): Counts =>
  news === 0 ? counts : (counts.map((n, bit) => n + ((news >> bit) & 1)) as unknown as Counts);

/** Counts a bid in, and gives the counts of its group. */
export function countedIn(
  state: DistinctState,
  { price, bidder, auction }: Pick<Bid, "price" | "bidder" | "auction">,
) {
  const ranks = 1 | (1 << rankOf(price));
  const bids = plus(state.bids.get(), ranks);
  state.bids.set(bids);
  const bidders = distinct(state.bidders, state.ranksOfBidder, bidder, ranks);
  const auctions = distinct(state.auctions, state.ranksOfAuction, auction, ranks);
  return {
    total_bids: bids[0],
    rank1_bids: bids[1],
    rank2_bids: bids[2],
    rank3_bids: bids[3],
    total_bidders: bidders[0],
    rank1_bidders: bidders[1],
    rank2_bidders: bidders[2],
    rank3_bidders: bidders[3],
    total_auctions: auctions[0],
    rank1_auctions: auctions[1],
    rank2_auctions: auctions[2],
    rank3_auctions: auctions[3],
  };
}

function distinct(
  counts: DistinctState["bidders"],
  ranksOf: DistinctState["ranksOfBidder"],
  who: number,
  ranks: number,
): Counts {
  const known = ranksOf.get(who) ?? 0;
  const news = ranks & ~known;
  if (news === 0) return counts.get();
  ranksOf.set(who, known | news);
  const next = plus(counts.get(), news);
  counts.set(next);
  return next;
}

export type DistinctCounts = ReturnType<typeof countedIn>;

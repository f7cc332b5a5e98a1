// Queries that keep something of the bids of each group.

import type { Bid } from "../../../examples/nexmark/model.ts";
import { dayOf, groupedBy, type Oracle } from "./house.ts";

function counts(bids: readonly Bid[]): object {
  const row: Record<string, number> = {};
  const ranks: readonly (readonly [string, (bid: Bid) => boolean])[] = [
    ["total", () => true],
    ["rank1", ({ price }) => price < 10_000],
    ["rank2", ({ price }) => price >= 10_000 && price < 1_000_000],
    ["rank3", ({ price }) => price >= 1_000_000],
  ];
  for (const [name, isIn] of ranks) {
    const own = bids.filter(isIn);
    row[`${name}_bids`] = own.length;
    row[`${name}_bidders`] = new Set(own.map(({ bidder }) => bidder)).size;
    row[`${name}_auctions`] = new Set(own.map(({ auction }) => auction)).size;
  }
  return row;
}

export const q15: Oracle = ({ bids }) =>
  Array.from(
    groupedBy(bids, ({ dateTime }) => dayOf(dateTime)),
    ([day, own]) => ({ day, ...counts(own) }),
  );

export const q16: Oracle = ({ bids }) =>
  Array.from(
    groupedBy(bids, ({ channel, dateTime }) => `${channel} ${dayOf(dateTime)}`),
    ([key, own]) => {
      const [channel, day] = String(key).split(" ");
      const last = Math.max(...own.map(({ dateTime }) => dateTime));
      return { channel, day, minute: new Date(last).toISOString().slice(11, 16), ...counts(own) };
    },
  );

export const q17: Oracle = ({ bids }) =>
  Array.from(
    groupedBy(bids, ({ auction, dateTime }) => `${auction} ${dayOf(dateTime)}`),
    ([key, own]) => {
      const [auction, day] = String(key).split(" ");
      const prices = own.map(({ price }) => price).sort((a, b) => a - b);
      const sum_price = prices.reduce((sum, price) => sum + price, 0);
      const rank2 = prices.filter((price) => price < 1_000_000).length;
      const rank1 = prices.filter((price) => price < 10_000).length;
      return {
        auction: Number(auction),
        day,
        total_bids: prices.length,
        rank1_bids: rank1,
        rank2_bids: rank2 - rank1,
        rank3_bids: prices.length - rank2,
        min_price: prices[0],
        max_price: prices.at(-1),
        avg_price: sum_price / prices.length,
        sum_price,
      };
    },
  );

const smaller = <T>(left: T, right: T): number => (left < right ? -1 : left > right ? 1 : 0);

export const q18: Oracle = ({ bids }) =>
  Array.from(groupedBy(bids, ({ bidder, auction }) => `${bidder} ${auction}`).values(), (own) =>
    own
      .toSorted((a, b) => a.dateTime - b.dateTime || a.price - b.price || smaller(a.extra, b.extra))
      .at(-1)!,
  );

export const q19: Oracle = ({ bids }) =>
  [...groupedBy(bids, ({ auction }) => auction).values()].flatMap((own) =>
    own
      .toSorted(
        (a, b) =>
          b.price - a.price ||
          a.dateTime - b.dateTime ||
          a.bidder - b.bidder ||
          smaller(a.extra, b.extra),
      )
      .slice(0, 10)
      .map((bid, at) => ({ ...bid, rank_number: at + 1 })),
  );

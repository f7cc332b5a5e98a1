// Winning bids: the highest of each auction while it is on, and the earliest of these.
//   SELECT A.*, B.auction, B.bidder, B.price, B.dateTime AS bid_dateTime, B.extra AS bid_extra FROM (
//     SELECT A.*, B.*, ROW_NUMBER() OVER (
//       PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC) AS rownum
//     FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires)
//   WHERE rownum <= 1

import { defineJob } from "tidemark";

import { upsert } from "../results.ts";
import { events } from "../sources.ts";
import { options } from "./options.ts";
import { type ValidBid, validBids } from "./winning.ts";

/** Of two bids of the same price and time, which SQL leaves open, that of the lesser bidder. */
function wins({ bid: left }: ValidBid, { bid: right }: ValidBid): boolean {
  if (left.price !== right.price) return left.price > right.price;
  if (left.dateTime !== right.dateTime) return left.dateTime < right.dateTime;
  return left.bidder !== right.bidder ? left.bidder < right.bidder : left.extra < right.extra;
}

export const q9 = defineJob(
  "q9",
  (env) => {
    const { auctions, bids } = events(env);
    const winning = validBids(auctions, bids)
      .keyBy(({ auction }) => auction.id)
      .reduce((held, next) => (wins(next, held) ? next : held), { uid: "winning" })
      .map(
        ({ auction, bid: { dateTime: bid_dateTime, extra: bid_extra, bidder, price } }) => ({
          ...auction,
          auction: auction.id,
          bidder,
          price,
          bid_dateTime,
          bid_extra,
        }),
        { uid: "rows" },
      );
    upsert(env, winning, ({ id }) => id);
  },
  options,
);

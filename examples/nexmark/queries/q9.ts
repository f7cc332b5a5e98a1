// Winning bids: the highest of each auction while it is on, and the earliest of these.
//   SELECT A.*, B.auction, B.bidder, B.price, B.dateTime AS bid_dateTime, B.extra AS bid_extra FROM (
//     SELECT A.*, B.*, ROW_NUMBER() OVER (
//       PARTITION BY A.id ORDER BY B.price DESC, B.dateTime ASC) AS rownum
//     FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires)
//   WHERE rownum <= 1

import { defineJob } from "tidemark";

import type { Auction, Bid } from "../model.ts";
import { upsert } from "../results.ts";
import { options } from "./options.ts";
import { validBids } from "./winning.ts";

const withBid = (auction: Auction, { bidder, price, dateTime, extra }: Bid) => ({
  ...auction,
  auction: auction.id,
  bidder,
  price,
  bid_dateTime: dateTime,
  bid_extra: extra,
});

type ValidBid = ReturnType<typeof withBid>;

/** Of two bids of the same price and time, which SQL leaves open, that of the lesser bidder. */
function wins(left: ValidBid, right: ValidBid): boolean {
  if (left.price !== right.price) return left.price > right.price;
  if (left.bid_dateTime !== right.bid_dateTime) return left.bid_dateTime < right.bid_dateTime;
  if (left.bidder !== right.bidder) return left.bidder < right.bidder;
  return left.bid_extra < right.bid_extra;
}

export const q9 = defineJob(
  "q9",
  (env) => {
    const winning = validBids(env, withBid)
      .keyBy("id")
      .reduce((held, next) => (wins(next, held) ? next : held), { uid: "winning" });
    upsert(env, winning, ({ id }) => id);
  },
  options,
);

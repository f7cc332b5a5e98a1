// The last bid of each bidder for each auction.
//   SELECT auction, bidder, price, channel, url, dateTime, extra FROM (
//     SELECT *, ROW_NUMBER() OVER (PARTITION BY bidder, auction ORDER BY dateTime DESC) AS rank_number
//     FROM bid) WHERE rank_number <= 1

import { defineJob } from "tidemark";

import type { Bid } from "../model.ts";
import { upsert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

/** Of two bids at the same time, which SQL leaves open, the dearer. */
const isLater = (left: Bid, right: Bid): boolean =>
  left.dateTime === right.dateTime
    ? left.price > right.price || (left.price === right.price && left.extra > right.extra)
    : left.dateTime > right.dateTime;

export const q18 = defineJob(
  "q18",
  (env) => {
    const last = bids(env)
      .keyBy(({ bidder, auction }) => [bidder, auction])
      .reduce((held, bid) => (isLater(bid, held) ? bid : held), { uid: "last" });
    upsert(env, last, ({ bidder, auction }) => [bidder, auction]);
  },
  options,
);

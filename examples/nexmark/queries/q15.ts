// Bidders and auctions, day by day, by rank of price.
//   SELECT DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day, count(*) AS total_bids,
//     count(*) FILTER (WHERE price < 10000) AS rank1_bids, …
//     count(DISTINCT bidder) AS total_bidders,
//     count(DISTINCT bidder) FILTER (WHERE price < 10000) AS rank1_bidders, …
//     count(DISTINCT auction) AS total_auctions, …
//   FROM bid GROUP BY day

import { defineJob, rows } from "tidemark";

import { upsert } from "../results.ts";
import { bids } from "../sources.ts";
import { dayOf } from "./dates.ts";
import { countedIn, type DistinctCounts, distinctState } from "./distinct.ts";
import { options } from "./options.ts";

export const q15 = defineJob(
  "q15",
  (env) => {
    const days = bids(env, "auction", "bidder", "price", "dateTime")
      .keyBy(({ dateTime }) => dayOf(dateTime))
      .process(
        {
          state: distinctState,
          emits: rows<{ readonly day: string } & DistinctCounts>(),
          process: (bid, { key, state, emit }) => emit({ day: key, ...countedIn(state, bid) }),
        },
        { uid: "days" },
      );
    upsert(env, days, ({ day }) => day);
  },
  options,
);

// Highest bids of every ten seconds.
//   SELECT B.auction, B.price, B.bidder, B.dateTime, B.extra FROM bid B JOIN (
//     SELECT max(price) AS maxprice, window_start, window_end
//     FROM TUMBLE(bid, dateTime, INTERVAL '10' SECOND) GROUP BY window_start, window_end) M
//   ON B.price = M.maxprice WHERE B.dateTime is in the window

import { defineJob, rows, type TimeWindow, tumbling, type WindowFunction } from "tidemark";

import type { Bid } from "../model.ts";
import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { greatest } from "./greatest.ts";
import { options } from "./options.ts";

const highest = { highest: greatest(({ price }: Bid) => price) };

const each = {
  emits: rows<Bid>(),
  process: ({ emit }, of) => of.highest.forEach(emit),
} satisfies WindowFunction<{ readonly highest: readonly Bid[] }, unknown, TimeWindow, Bid>;

export const q7 = defineJob(
  "q7",
  (env) => {
    // Of each auction first, so that one subtask need not look at all bids.
    const ofAuctions = bids(env)
      .keyBy("auction")
      .window(tumbling("10s"))
      .aggregate(highest, each, { uid: "of-auctions" });
    const ofAll = ofAuctions
      .keyBy(() => "all")
      .window(tumbling("10s"))
      .aggregate(highest, each, { uid: "of-all" })
      .map(
        ({ auction, price, bidder, dateTime, extra }) => ({
          auction,
          price,
          bidder,
          dateTime,
          extra,
        }),
        { uid: "rows" },
      );
    insert(env, ofAll);
  },
  options,
);

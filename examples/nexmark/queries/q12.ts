// Bids of bidders within ten seconds by the clock.
//   SELECT bidder, count(*) AS bid_count, TUMBLE_START(…) AS starttime, TUMBLE_END(…) AS endtime
//   FROM bid GROUP BY bidder, TUMBLE(PROCTIME(), INTERVAL '10' SECOND)

import { count, defineJob, sum, tumbling } from "tidemark";

import { insert, isChecked, upsert } from "../results.ts";
import { bids, endless } from "../sources.ts";
import { options } from "./options.ts";

export const q12 = defineJob(
  "q12",
  (env) => {
    const counts = (isChecked(env) ? endless(env, bids(env, "bidder")) : bids(env, "bidder"))
      .keyBy("bidder")
      .window(tumbling("10s", { time: "processing" }))
      .aggregate({ bid_count: count() }, { uid: "counts" })
      .map(
        ({ key: bidder, bid_count, windowStart: starttime, windowEnd: endtime }) => ({
          bidder,
          bid_count,
          starttime,
          endtime,
        }),
        { uid: "rows" },
      );
    if (!isChecked(env)) return insert(env, counts);
    // Windows by the clock are others in each run, and all bids of a bidder are in some.
    const totals = counts
      .keyBy("bidder")
      .aggregate({ bid_count: sum("bid_count") }, { uid: "totals" })
      .map(({ key: bidder, bid_count }) => ({ bidder, bid_count }), { uid: "total-rows" });
    upsert(env, totals, ({ bidder }) => bidder);
  },
  options,
);

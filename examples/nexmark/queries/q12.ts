// Bids of bidders within ten seconds by the clock.
//   SELECT bidder, count(*) AS bid_count, TUMBLE_START(…) AS starttime, TUMBLE_END(…) AS endtime
//   FROM bid GROUP BY bidder, TUMBLE(PROCTIME(), INTERVAL '10' SECOND)

import { count, defineJob, tumbling } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q12 = defineJob(
  "q12",
  (env) => {
    const counts = bids(env, "bidder")
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
    insert(env, counts);
  },
  options,
);
